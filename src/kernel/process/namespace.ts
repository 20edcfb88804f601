// Namespaces of other processes: comparing them, and running a synchronous function in a network namespace or with
// another identity. Both apply to the calling thread alone, because the raw system calls are used; threads that the
// engine starts meanwhile inherit them, but do not access files or sockets. See namespaces(7), setns(2).
import { Fd, ioctl, openPath, readLinkAt, statFd } from "../file/fd.ts";
import { PR_GET_DUMPABLE, PR_SET_DUMPABLE, SOCK_NONBLOCK_CLOEXEC } from "../syscall/constants.ts";
import { type Pinned, pin, pinForever } from "../syscall/mem.ts";
import { check, isErrno, SyscallError, sys, trySys } from "../syscall/sys.ts";
import type { PidRef } from "./pidref.ts";
import { openProcessLink } from "./process-link.ts";

type NamespaceKind = "cgroup" | "ipc" | "mnt" | "net" | "pid" | "user" | "uts";

const CLONE_NEWNET = 0x40000000;
const NS_GET_PARENT = 0xb702;
const NS_GET_OWNER_UID = 0xb704;
const MAX_USER_NAMESPACE_LEVELS = 16;

/** ioctl(2) on a pidfd: opens a namespace of its process (Linux 6.11), also of one that is executing a program. */
const PIDFD_GET_NAMESPACE: Readonly<Record<NamespaceKind, number>> = {
  cgroup: 0xff01,
  ipc: 0xff02,
  mnt: 0xff03,
  net: 0xff04,
  pid: 0xff05,
  user: 0xff09,
  uts: 0xff0a,
};

/**
 * Opens a namespace of a process (`"self"`: of this thread). Throws `ENOENT` where the process has ended or the kernel
 * lacks the kind, `ETIMEDOUT` where the process hangs.
 */
export function openNamespace(pid: number | "self", kind: NamespaceKind): Fd {
  if (pid === "self") return openPath(`/proc/thread-self/ns/${kind}`, "read");
  return byPidFd(pid, kind) ?? openProcessLink(pid, `ns/${kind}`, "read");
}

/** Returns null where the kernel cannot, or refuses it. */
function byPidFd(pid: number, kind: NamespaceKind): Fd | null {
  const pidfd = trySys("pidfd_open", pid, 0);
  if (pidfd < 0) return null;
  const result = trySys("ioctl", pidfd, PIDFD_GET_NAMESPACE[kind], 0);
  trySys("close", pidfd);
  return result < 0 ? null : Fd.adopt(result);
}

/** Returns an identifier of a namespace, which is equal for two processes only if they share it. */
export function namespaceId(pid: number | "self", kind: NamespaceKind): string {
  if (pid === "self") return readLinkAt(null, `/proc/thread-self/ns/${kind}`);
  using namespace = openNamespace(pid, kind);
  return `${kind}:[${statFd(namespace).ino}]`;
}

/** Returns whether a process shares a namespace with this thread. */
export function sameNamespace(pid: number, kind: NamespaceKind): boolean {
  return namespaceId(pid, kind) === namespaceId("self", kind);
}

/** A function that must be synchronous, because the thread's namespace or identity is changed only while it runs. */
type Synchronous<T> = () => T extends PromiseLike<unknown> ? never : T;

let ownNetwork: Fd | null = null;
let canReturn: boolean | null = null;

/**
 * Runs `fn` with this thread in the network namespace of `process`; sockets that it opens stay in it. Throws `EPERM`
 * where the thread could not return, `ESRCH` where the process has ended. Aborts this process if returning fails
 * nevertheless.
 */
export function withNetworkNamespace<T>(process: PidRef, fn: Synchronous<T>): T {
  ownNetwork ??= openNamespace("self", "net");
  // Without capabilities over our own namespace the thread could not return: tested here, by entering our own.
  canReturn ??= trySys("setns", ownNetwork.number, CLONE_NEWNET) === 0;
  if (!canReturn) throw new SyscallError("setns", "EPERM", "our own network namespace");
  using target = process.verified(() => openNamespace(process.pid, "net"));
  check(trySys("setns", target.number, CLONE_NEWNET), "setns");
  try {
    return fn() as T;
  } finally {
    if (trySys("setns", ownNetwork.number, CLONE_NEWNET) < 0)
      abortProcess("Cannot return to our own network namespace");
  }
}

/**
 * Returns a socket, close-on-exec and non-blocking, in the network namespace of `process` (null: ours). Only for
 * src/kernel.
 */
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
 * Runs `fn` with the effective and file system ids of `identity`, without supplementary groups and without effective
 * capabilities (unless it is root). Real and saved ids are kept, so that the user cannot signal this process meanwhile
 * and returning needs no privilege. Throws `EPERM` where the ids may not be changed; aborts this process if returning
 * fails.
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
    // The user id first, because it restores the capabilities to change the rest.
    const failed =
      trySys("setresuid", KEEP, uid, KEEP) < 0 ||
      trySys("setresgid", KEEP, gid, KEEP) < 0 ||
      (groups.size > 0 && trySys("setgroups", groups.size / 4, groups) < 0);
    if (failed) abortProcess("Cannot return to our own user identity");
    // The kernel clears this flag when ids change; it determines the owner of our files in /proc.
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

/**
 * Prints `reason` and aborts the process without running any JavaScript, which must not run in the wrong namespace or
 * identity.
 */
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
  /**
   * The UIDs of the owners, in our user namespace, from the process's user namespace outwards, without the owner of
   * ours.
   */
  readonly owners: number[];
  /** Whether the walk reached our own user namespace: the process's namespace is ours or descends from it. */
  readonly reachedOwn: boolean;
}

const owner = pinForever(4);

/** Returns who made the user namespaces between a process and us. Walks at most 16 levels; the kernel allows 32. */
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
    // The parent is not visible to us, so it is not a descendant of ours.
    if (isErrno(error, "EPERM")) return { owners, reachedOwn: false };
    throw error;
  } finally {
    namespace.close();
  }
}
