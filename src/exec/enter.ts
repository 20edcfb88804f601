// Running a command inside a machine: the arguments of machined-enter (src/exec/enter), and the environment of the command.
import { ErrnoError } from "../base/error.ts";
import { findUser, groupsOfUser, ID_MAX, type UserEntry } from "../base/user-database.ts";
import { type Fd, openPath, readFileIn } from "../kernel/file/fd.ts";
import { cgroupHierarchies } from "../kernel/process/cgroup-mount.ts";
import { sameNamespace } from "../kernel/process/namespace.ts";
import type { PidRef } from "../kernel/process/pidref.ts";
import { processGid, processUid } from "../kernel/process/process-file.ts";
import { HOST_ID_END, type IdKind, idMapsOf, mapInward, mapOutward } from "../registry/machine/uid-map.ts";

export interface EnterRequest {
  readonly leader: PidRef;
  readonly machine: string;
  /** The user of this host whose machine it is. */
  readonly ownerUid: number;
  /** A name or number in the machine; "" for root, or the leader's user where root is not mapped. */
  readonly user: string;
  /** Of the command; null for the user's home, or "/" where there is none. */
  readonly directory: string | null;
  /** Assignments on top of the clean environment. */
  readonly environment: readonly string[];
  readonly command: readonly string[];
  /**
   * Whether the command has a controlling terminal: `given` as descriptor 0, or `own`, a new one whose master is sent through
   * descriptor 0 (terminal.ts).
   */
  readonly terminal: "none" | "given" | "own";
  /** 0 for no limit. */
  readonly timeoutMs: number;
  /** Leave the command running, and print its number and its cgroup. */
  readonly detach: boolean;
  /** Say what could not be taken over from the leader. */
  readonly verbose: boolean;
  /** Who asked, for the journal. */
  readonly callerUid: number;
}

/** How machined-enter is called. */
interface EnterCommand {
  /** The user of this host who the command's user is; null where it is none. */
  readonly outerUid: number | null;
  readonly args: readonly string[];
  /** Each assignment behind "=", so that machined-enter and its C library ignore the variables. */
  readonly environment: readonly string[];
}

const PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const DATABASE_LIMIT_BYTES = 16 * 1024 * 1024;

interface Account {
  readonly uid: number;
  readonly gid: number;
  readonly groups: readonly number[];
  /** Null for a number that the machine's user database does not have. */
  readonly entry: UserEntry | null;
}

function readDatabase(root: Fd, path: string): string {
  try {
    return readFileIn(root, path, DATABASE_LIMIT_BYTES).toString();
  } catch {
    // A machine of one static program has no users but numbers.
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
function ownersAccount({ leader, machine, user, ownerUid }: EnterRequest, passwd: string): Account {
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

/** Which user of this host an account of the machine is. */
function outerId(leader: PidRef, kind: IdKind, inner: number): number | null {
  return mapOutward(idMapsOf(leader)[kind], inner);
}

/**
 * An owner also decides what a user namespace of its machine maps, and root may have mapped users of this host into it: a
 * command is never one of them but the owner.
 */
function requireOwnersIds({ leader, machine, ownerUid }: EnterRequest, { uid, gid, groups }: Account): void {
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

function accountOf(request: EnterRequest, root: Fd): Account {
  const { leader, machine, user, ownerUid } = request;
  const passwd = readDatabase(root, "/etc/passwd");
  if (ownerUid !== 0 && sameNamespace(leader.pid, "user")) return ownersAccount(request, passwd);
  const ids = user === "" ? defaultIds(leader) : null;
  const number = ids?.uid ?? numberOf(user);
  const entry = findUser(passwd, number ?? user);
  const uid = entry?.uid ?? number;
  if (uid === null) {
    throw new ErrnoError("ESRCH", `There is no user '${user}' in machine '${machine}' (its /etc/passwd was read)`);
  }
  const gid = ids?.gid ?? entry?.gid ?? uid;
  const groups = entry === null ? [] : groupsOfUser(readDatabase(root, "/etc/group"), entry.name);
  const account = { uid, gid, groups: groups.filter((group) => group !== gid), entry };
  if (ownerUid !== 0) requireOwnersIds(request, account);
  return account;
}

/** Throws an ErrnoError `EINVAL` where parts of the request contradict each other. */
export function requireAgreement({ detach, terminal, timeoutMs, machine }: EnterRequest): void {
  if (timeoutMs < 0) throw new ErrnoError("EINVAL", `A time limit of ${timeoutMs} ms is none`);
  if (!detach || (terminal === "none" && timeoutMs === 0)) return;
  const option = terminal !== "none" ? "a terminal" : "a time limit";
  throw new ErrnoError(
    "EINVAL",
    `A command that is left running in machine '${machine}' cannot have ${option}: nobody stays for it`,
  );
}

/**
 * Prepares a command. machined-enter must have the leader's pidfd open under the number `pidfd`. Throws an ErrnoError when the
 * leader has ended (`ESRCH`) or the machine has no such user.
 */
export function enterCommand(request: EnterRequest, pidfd: number): EnterCommand {
  const { leader, machine } = request;
  requireAgreement(request);
  return leader.verified(() => {
    using root = openPath(`/proc/${leader.pid}/root`, "path");
    const { uid, gid, groups, entry } = accountOf(request, root);
    const home = entry?.home.startsWith("/") ? entry.home : null;
    const words: Record<string, string | number | null> = {
      leader: leader.pid,
      pidfd,
      machine,
      user: entry?.name ?? String(uid),
      caller: request.callerUid,
      uid,
      gid,
      groups: groups.length === 0 ? null : groups.join(","),
      dir: request.directory,
      home,
      tty: request.terminal === "none" ? null : 1,
      timeout: request.timeoutMs > 0 ? Math.ceil(request.timeoutMs) : null,
      detach: request.detach ? 1 : null,
      verbose: request.verbose ? 1 : null,
    };
    const given = Object.entries(words).filter(([, value]) => value !== null);
    const mounts = cgroupHierarchies().map(({ controllers, mount }) => `mount=${controllers}:${mount}`);
    const variables = new Map([
      ["PATH", PATH],
      ["HOME", home ?? "/"],
      ["USER", entry?.name ?? String(uid)],
      ["LOGNAME", entry?.name ?? String(uid)],
      ["SHELL", entry?.shell || "/bin/sh"],
    ]);
    for (const assignment of request.environment) {
      const equals = assignment.indexOf("=");
      variables.set(assignment.slice(0, equals), assignment.slice(equals + 1));
    }
    return {
      outerUid: outerId(leader, "uid", uid),
      args: ["machined-enter", ...given.map(([key, value]) => `${key}=${value}`), ...mounts, "--", ...request.command],
      environment: [...variables].map(([name, value]) => `=${name}=${value}`),
    };
  });
}
