// Namespaces of other processes: telling them apart, and stepping into a network namespace or another identity for the
// length of one synchronous function. Both hold for the calling thread only, because they are made by the bare system
// call; threads which the engine happens to start meanwhile never touch files or sockets. See namespaces(7), setns(2).
import { Fd, ioctl, openPath, readLinkAt } from "../file/fd.ts";
import { PR_GET_DUMPABLE, PR_SET_DUMPABLE, SOCK_NONBLOCK_CLOEXEC } from "../syscall/constants.ts";
import { type Pinned, pin, pinForever } from "../syscall/mem.ts";
import { check, isErrno, SyscallError, sys, trySys } from "../syscall/sys.ts";
import type { PidRef } from "./pidref.ts";

type NamespaceKind = "cgroup" | "ipc" | "mnt" | "net" | "pid" | "user" | "uts";

const CLONE_NEWNET = 0x40000000;
const NS_GET_PARENT = 0xb702;
const NS_GET_OWNER_UID = 0xb704;
const MAX_USER_NAMESPACE_LEVELS = 16;

/** Opens a namespace of a process (`"self"`: of this thread). `ENOENT` when the process is gone or the kernel lacks the kind. */
export function openNamespace(pid: number | "self", kind: NamespaceKind): Fd {
  return openPath(`/proc/${pid === "self" ? "thread-self" : pid}/ns/${kind}`, "read");
}

/** A text that is the same for two processes exactly when they share the namespace. */
export function namespaceId(pid: number | "self", kind: NamespaceKind): string {
  return readLinkAt(null, `/proc/${pid === "self" ? "thread-self" : pid}/ns/${kind}`);
}

/** Whether a process shares this namespace with us. */
export function sameNamespace(pid: number, kind: NamespaceKind): boolean {
  return namespaceId(pid, kind) === namespaceId("self", kind);
}

/** A function that must not wait: the thread is somewhere else while it runs. */
type Synchronous<T> = () => T extends PromiseLike<unknown> ? never : T;

let ownNetwork: Fd | null = null;
let canReturn: boolean | null = null;

/**
 * Runs `fn` with this thread in the network namespace of `process`; sockets it opens stay there. When the way back is
 * barred the whole process aborts: it would go on in somebody else's network.
 */
export function withNetworkNamespace<T>(process: PidRef, fn: Synchronous<T>): T {
  ownNetwork ??= openNamespace("self", "net");
  // Without rights over our own namespace there is a way in and none back: found out where nothing can happen yet.
  canReturn ??= trySys("setns", ownNetwork.number, CLONE_NEWNET) === 0;
  if (!canReturn) throw new SyscallError("setns", "EPERM", "the own network namespace");
  using target = process.verified(() => openNamespace(process.pid, "net"));
  check(trySys("setns", target.number, CLONE_NEWNET), "setns");
  try {
    return fn() as T;
  } finally {
    if (trySys("setns", ownNetwork.number, CLONE_NEWNET) < 0)
      abortProcess("Cannot return to the own network namespace");
  }
}

/** A socket, close-on-exec and non-blocking, that lives in the network of `process` (null: ours). For modules of this layer. */
export function socketInNetworkOf(process: PidRef | null, domain: number, type: number, protocol: number): Fd {
  const open = () => Fd.adopt(sys("socket", domain, type | SOCK_NONBLOCK_CLOEXEC, protocol));
  return process === null ? open() : withNetworkNamespace(process, open);
}

export interface Identity {
  readonly uid: number;
  readonly gid: number;
}

const KEEP = -1;
const ids = pinForever(12);

/**
 * Runs `fn` with this thread's effective ids and file access those of `identity`, without supplementary groups and
 * without privileges (unless it is root's own). Real and saved ids stay: nobody else may signal us meanwhile, and the way
 * back needs no privilege. `EPERM` when we may not; the process aborts when the way back fails.
 */
export function withIdentity<T>(identity: Identity, fn: Synchronous<T>): T {
  const uid = effectiveId("getresuid");
  const gid = effectiveId("getresgid");
  if (identity.uid === uid && identity.gid === gid) return fn() as T;
  const groups = supplementaryGroups();
  const wasDumpable = trySys("prctl", PR_GET_DUMPABLE) === 1;
  try {
    if (groups.size > 0) check(trySys("setgroups", 0, 0), "setgroups");
    check(trySys("setresgid", KEEP, identity.gid, KEEP), "setresgid", String(identity.gid));
    check(trySys("setresuid", KEEP, identity.uid, KEEP), "setresuid", String(identity.uid));
    return fn() as T;
  } finally {
    // The user first: the privilege to change the rest comes back with it.
    const failed =
      trySys("setresuid", KEEP, uid, KEEP) < 0 ||
      trySys("setresgid", KEEP, gid, KEEP) < 0 ||
      (groups.size > 0 && trySys("setgroups", groups.size / 4, groups) < 0);
    if (failed) abortProcess("Cannot return to the own user identity");
    // The kernel takes this away from a process that changes identity; it decides who owns our files in /proc.
    if (wasDumpable) trySys("prctl", PR_SET_DUMPABLE, 1);
  }
}

function effectiveId(name: "getresuid" | "getresgid"): number {
  const base = ids.address;
  check(trySys(name, base, base + 4, base + 8), name);
  return ids.view.getUint32(4, true);
}

function supplementaryGroups(): Pinned {
  const count = sys("getgroups", 0, 0);
  const groups = pin(4 * count);
  if (count > 0) sys("getgroups", count, groups);
  return groups;
}

/** Aborts the process at once: no handler may run in the wrong namespace or with the wrong identity. */
export function abortProcess(reason: string): never {
  const SIGABRT = 6;
  const text = Buffer.from(`<2>${reason}\n`);
  const message = pin(text.length);
  message.bytes.set(text);
  trySys("write", 2, message, message.size);
  trySys("kill", trySys("getpid"), SIGABRT);
  trySys("exit_group", 128 + SIGABRT);
  throw new SyscallError("abort", "EPERM", undefined, reason);
}

interface OwnerChain {
  /** The owners' uids as we see them, from the process's user namespace outwards; ours is not among them. */
  readonly owners: number[];
  /** Whether the walk ended at our own user namespace: then the process's namespace descends from ours. */
  readonly reachedOwn: boolean;
}

const owner = pinForever(4);

/** Who made the user namespaces between a process and us. At most 16 levels are walked; the kernel allows 32. */
export function userNamespaceOwnerChain(pid: number): OwnerChain {
  const own = namespaceId("self", "user");
  const owners: number[] = [];
  let namespace = openNamespace(pid, "user");
  try {
    for (let level = 0; level <= MAX_USER_NAMESPACE_LEVELS; level++) {
      if (readLinkAt(null, `/proc/thread-self/fd/${namespace.number}`) === own) return { owners, reachedOwn: true };
      if (level === MAX_USER_NAMESPACE_LEVELS) break;
      ioctl(namespace, NS_GET_OWNER_UID, owner);
      owners.push(owner.view.getUint32(0, true));
      const parent = Fd.adopt(ioctl(namespace, NS_GET_PARENT));
      namespace.close();
      namespace = parent;
    }
    return { owners, reachedOwn: false };
  } catch (error) {
    // The parent is not visible from here, so it is not ours.
    if (isErrno(error, "EPERM")) return { owners, reachedOwn: false };
    throw error;
  } finally {
    namespace.close();
  }
}
