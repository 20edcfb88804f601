// The account of a command in a machine: user, group and supplementary groups from the machine's user database, limited
// by who owns the machine.

import { meansNoFile } from "../base/absence.ts";
import { ErrnoError, errnoNameOf } from "../base/error.ts";
import { findUser, groupsOfUser, ID_MAX, type UserEntry } from "../base/user-database.ts";
import { reopen, statFd } from "../kernel/file/fd.ts";
import { readFileIn, readRegular } from "../kernel/file/regular-file.ts";
import { sameNamespace } from "../kernel/process/namespace.ts";
import type { PidRef } from "../kernel/process/pidref.ts";
import { processGid, processUid } from "../kernel/process/process-file.ts";
import { openProcessLink } from "../kernel/process/process-link.ts";
import { openPathCached } from "../registry/machine/open-cached.ts";
import { HOST_ID_END, type IdKind, idMapsOf, mapInward, mapOutward } from "../registry/machine/uid-map.ts";
import { whileRunning } from "./ended.ts";

/** The machine and user whose account is looked up. */
export interface AccountRequest {
  readonly leader: PidRef;
  readonly machine: string;
  /** The user of this host who registered the machine. */
  readonly ownerUid: number;
  /** A name or number in the machine; "" for root, or the leader's user where root is not mapped. */
  readonly user: string;
}

const DATABASE_LIMIT_BYTES = 16 * 1024 * 1024;

/** The credentials of a command, as ids of the machine's user namespace. */
export interface Account {
  readonly uid: number;
  readonly gid: number;
  readonly groups: readonly number[];
  /** The line of passwd(5); null for a UID that the machine's user database does not contain. */
  readonly entry: UserEntry | null;
}

/** Returns the content of a file of the machine; throws where it cannot be read. */
type ReadFile = (path: string) => string;

/** Reads files; blocks for as long as a file system of the machine does not answer. */
function readWaiting(leader: PidRef): ReadFile {
  return (path) => {
    using root = openProcessLink(leader.pid, "root", "path");
    return readFileIn(root, path, DATABASE_LIMIT_BYTES).toString();
  };
}

/** Reading the user database might block. */
class NotAtOnce extends Error {}

/** Reads files only where that cannot block (registry/machine/open-cached.ts); throws NotAtOnce otherwise. */
function readAtOnce(leader: PidRef): ReadFile {
  return (path) => {
    using root = openProcessLink(leader.pid, "root", "path");
    using named = openPathCached({ leader, isHost: false }, root, path);
    if (named === null) throw new NotAtOnce();
    if (statFd(named).kind !== "regular") return "";
    using opened = reopen(named, "read");
    return readRegular(opened, DATABASE_LIMIT_BYTES).toString();
  };
}

/**
 * Returns "" where the machine has no such file: a machine of one static program has no user database. Throws other
 * errors (EMFILE, ENOMEM, EIO): without the file, the command would have neither its supplementary groups nor its home
 * directory.
 */
function orEmpty(read: ReadFile, path: string, machine: string): string {
  try {
    return read(path);
  } catch (error) {
    if (error instanceof NotAtOnce) throw error;
    if (meansNoFile(error)) return "";
    throw new ErrnoError(
      errnoNameOf(error) ?? "EIO",
      `The user database of machine '${machine}' could not be read: ${(error as Error).message}`,
      { cause: error },
    );
  }
}

/** Returns the ids of the leader in its own user namespace. */
function leaderIds(leader: PidRef): { uid: number; gid: number } {
  const [uid, gid] = [processUid(leader.pid), processGid(leader.pid)];
  if (sameNamespace(leader.pid, "user")) return { uid, gid };
  const maps = idMapsOf(leader);
  return { uid: mapInward(maps.uid, uid) ?? uid, gid: mapInward(maps.gid, gid) ?? gid };
}

/**
 * Returns the ids for no given user: root where the machine's namespace maps root or the leader is root, else the
 * leader's.
 */
function defaultIds(leader: PidRef): { uid: number; gid: number } {
  const isForeign = !sameNamespace(leader.pid, "user");
  const maps = idMapsOf(leader);
  const hasRoot = isForeign
    ? mapOutward(maps.uid, 0) !== null && mapOutward(maps.gid, 0) !== null
    : processUid(leader.pid) === 0;
  return hasRoot ? { uid: 0, gid: 0 } : leaderIds(leader);
}

/**
 * Returns the account in a machine that shares the host's user namespace and that an unprivileged user owns. The owner
 * controls its user database and could select any user of this host by it, so only the leader's ids are allowed,
 * without supplementary groups.
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

/** Returns the id of this host to which an id of the machine is mapped; null where it is not mapped. */
export function outerId(leader: PidRef, kind: IdKind, inner: number): number | null {
  return mapOutward(idMapsOf(leader)[kind], inner);
}

/**
 * Throws EPERM where an account is mapped to a user or group of this host other than the owner's: the user namespace of
 * the machine may map such ids, and the owner controls the user database.
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

/** Returns the UID of a user that is given in digits; null for a name. */
function numberOf(user: string): number | null {
  return /^(0|[1-9]\d{0,9})$/.test(user) && Number(user) <= ID_MAX ? Number(user) : null;
}

/**
 * Looks up the user of a request in the machine's passwd(5) and group(5). Throws an ErrnoError where the machine has no
 * such user (`ESRCH`), where commands of its owner may not run as that user (`EPERM`), or where a file that exists
 * cannot be read (its errno).
 */
export function accountOf(request: AccountRequest, read: ReadFile = readWaiting(request.leader)): Account {
  const { leader, machine, user, ownerUid } = request;
  const passwd = orEmpty(read, "/etc/passwd", machine);
  if (ownerUid !== 0 && sameNamespace(leader.pid, "user")) return ownersAccount(request, passwd);
  const ids = user === "" ? defaultIds(leader) : null;
  const number = ids?.uid ?? numberOf(user);
  const entry = findUser(passwd, number ?? user);
  const uid = entry?.uid ?? number;
  if (uid === null) {
    throw new ErrnoError("ESRCH", `There is no user '${user}' in machine '${machine}' (its /etc/passwd was read)`);
  }
  const gid = ids?.gid ?? entry?.gid ?? uid;
  const groups = entry === null ? [] : groupsOfUser(orEmpty(read, "/etc/group", machine), entry.name);
  const account = { uid, gid, groups: groups.filter((group) => group !== gid), entry };
  if (ownerUid !== 0) requireOwnersIds(request, account);
  return account;
}

/** As `accountOf()`, but returns null where reading might block. Throws `ESRCH` also where the leader has ended. */
export function accountAtOnce(request: AccountRequest): Account | null {
  try {
    const { machine, leader } = request;
    return whileRunning(machine, leader, () => accountOf(request, readAtOnce(leader)));
  } catch (error) {
    if (error instanceof NotAtOnce) return null;
    throw error;
  }
}
