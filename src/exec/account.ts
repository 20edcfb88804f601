// As whom a command in a machine runs: the machine's own user database says it, and whose machine it is.
import { ErrnoError } from "../base/error.ts";
import { findUser, groupsOfUser, ID_MAX, type UserEntry } from "../base/user-database.ts";
import { openPath, readFileIn, readRegular, reopen, statFd } from "../kernel/file/fd.ts";
import { sameNamespace } from "../kernel/process/namespace.ts";
import type { PidRef } from "../kernel/process/pidref.ts";
import { processGid, processUid } from "../kernel/process/process-file.ts";
import { openPathCached } from "../registry/machine/open-at-once.ts";
import { HOST_ID_END, type IdKind, idMapsOf, mapInward, mapOutward } from "../registry/machine/uid-map.ts";

/** Whose account is looked up. */
export interface AccountRequest {
  readonly leader: PidRef;
  readonly machine: string;
  /** The user of this host whose machine it is. */
  readonly ownerUid: number;
  /** A name or number in the machine; "" for root, or the leader's user where root is not mapped. */
  readonly user: string;
}

const DATABASE_LIMIT_BYTES = 16 * 1024 * 1024;

/** Who a command in a machine runs as, in numbers of the machine. */
export interface Account {
  readonly uid: number;
  readonly gid: number;
  readonly groups: readonly number[];
  /** Null for a number that the machine's user database does not have. */
  readonly entry: UserEntry | null;
}

/** The content of a file of the machine; throws where it cannot be read. */
type ReadFile = (path: string) => string;

/** Waits for the machine's file systems, and for ever where one does not answer. */
function readWaiting(leader: PidRef): ReadFile {
  return (path) => {
    using root = openPath(`/proc/${leader.pid}/root`, "path");
    return readFileIn(root, path, DATABASE_LIMIT_BYTES).toString();
  };
}

/** The user database would have to be waited for. */
class NotAtOnce extends Error {}

function readAtOnce(leader: PidRef): ReadFile {
  return (path) => {
    using root = openPath(`/proc/${leader.pid}/root`, "path");
    using named = openPathCached({ leader, isHost: false }, root, path);
    if (named === null) throw new NotAtOnce();
    if (statFd(named).kind !== "regular") return "";
    using opened = reopen(named, "read");
    return readRegular(opened, DATABASE_LIMIT_BYTES).toString();
  };
}

/** A machine of one static program has no users but numbers. */
function orEmpty(read: ReadFile, path: string): string {
  try {
    return read(path);
  } catch (error) {
    if (error instanceof NotAtOnce) throw error;
    return "";
  }
}

/** The ids of the leader as its own user namespace has them. */
function leaderIds(leader: PidRef): { uid: number; gid: number } {
  const [uid, gid] = [processUid(leader.pid), processGid(leader.pid)];
  if (sameNamespace(leader.pid, "user")) return { uid, gid };
  const maps = idMapsOf(leader);
  return { uid: mapInward(maps.uid, uid) ?? uid, gid: mapInward(maps.gid, gid) ?? gid };
}

/** Root where the machine has one of its own: a leader that shares our users and is not root stays what it is. */
function defaultIds(leader: PidRef): { uid: number; gid: number } {
  const isForeign = !sameNamespace(leader.pid, "user");
  const maps = idMapsOf(leader);
  const hasRoot = isForeign
    ? mapOutward(maps.uid, 0) !== null && mapOutward(maps.gid, 0) !== null
    : processUid(leader.pid) === 0;
  return hasRoot ? { uid: 0, gid: 0 } : leaderIds(leader);
}

/**
 * The account of a machine that shares our users and belongs to one of them: its owner writes its user database, and would
 * choose by it whose rights on this host a command has. So a command has the leader's, without supplementary groups.
 */
function ownersAccount({ leader, machine, user, ownerUid }: AccountRequest, passwd: string): Account {
  const { uid, gid } = leaderIds(leader);
  const entry = findUser(passwd, uid);
  if (uid === ownerUid && (user === "" || user === String(uid) || user === entry?.name))
    return { uid, gid, groups: [], entry };
  const meant = user === "" ? `user ${uid}` : `user '${user}'`;
  throw new ErrnoError(
    "EPERM",
    `Machine '${machine}' of user ${ownerUid} has no user namespace, so its ${meant} would be one of this host: ` +
      "run the command as the leader's user, without --uid=",
  );
}

/** Which user of this host an id of the machine is; null where it is none. */
export function outerId(leader: PidRef, kind: IdKind, inner: number): number | null {
  return mapOutward(idMapsOf(leader)[kind], inner);
}

/**
 * An owner also decides what a user namespace of its machine maps, and root may have mapped users of this host into it: a
 * command is never one of them but the owner.
 */
function requireOwnersIds({ leader, machine, ownerUid }: AccountRequest, { uid, gid, groups }: Account): void {
  const ownGid = processUid(leader.pid) === ownerUid ? processGid(leader.pid) : null;
  const user = outerId(leader, "uid", uid);
  const foreignUser = user !== null && user < HOST_ID_END && user !== ownerUid;
  const foreignGroup = [gid, ...groups]
    .map((group) => outerId(leader, "gid", group))
    .find((group) => group !== null && group < HOST_ID_END && group !== ownGid);
  if (!foreignUser && foreignGroup === undefined) return;
  const meant = foreignUser ? `user ${uid} would be user ${user}` : `user ${uid} would have group ${foreignGroup}`;
  throw new ErrnoError(
    "EPERM",
    `In machine '${machine}' of user ${ownerUid}, ${meant} of this host: choose another --uid=`,
  );
}

/** The number that a user is given by, as the kernel has numbers; null for a name. */
function numberOf(user: string): number | null {
  return /^(0|[1-9]\d{0,9})$/.test(user) && Number(user) <= ID_MAX ? Number(user) : null;
}

/**
 * Looks the user of a request up in the machine's own passwd and group. Throws an ErrnoError when the machine has no such user
 * (`ESRCH`), or its owner may not be given it (`EPERM`).
 */
export function accountOf(request: AccountRequest, read: ReadFile = readWaiting(request.leader)): Account {
  const { leader, machine, user, ownerUid } = request;
  const passwd = orEmpty(read, "/etc/passwd");
  if (ownerUid !== 0 && sameNamespace(leader.pid, "user")) return ownersAccount(request, passwd);
  const ids = user === "" ? defaultIds(leader) : null;
  const number = ids?.uid ?? numberOf(user);
  const entry = findUser(passwd, number ?? user);
  const uid = entry?.uid ?? number;
  if (uid === null) {
    throw new ErrnoError("ESRCH", `There is no user '${user}' in machine '${machine}' (its /etc/passwd was read)`);
  }
  const gid = ids?.gid ?? entry?.gid ?? uid;
  const groups = entry === null ? [] : groupsOfUser(orEmpty(read, "/etc/group"), entry.name);
  const account = { uid, gid, groups: groups.filter((group) => group !== gid), entry };
  if (ownerUid !== 0) requireOwnersIds(request, account);
  return account;
}

/** The same without waiting for a file system of the machine; null where one would have to be waited for. */
export function accountAtOnce(request: AccountRequest): Account | null {
  try {
    return request.leader.verified(() => accountOf(request, readAtOnce(request.leader)));
  } catch (error) {
    if (error instanceof NotAtOnce) return null;
    throw error;
  }
}
