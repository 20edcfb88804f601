// Who sent a call. On a bus the broker vouches for it, on a socket the kernel does; nothing the caller says counts.

import type { Fd } from "../kernel/file/fd.ts";
import { PidRef } from "../kernel/process/pidref.ts";
import { processStartTicks } from "../kernel/process/process-file.ts";
import { peerCredentials, peerPidFd } from "../kernel/socket/unix.ts";
import { SyscallError } from "../kernel/syscall/sys.ts";

/** The part of a connection to a bus that its broker answers. */
interface Broker {
  driver(member: string, signature: string, body: readonly unknown[]): Promise<unknown[]>;
}

/** How polkit is told whom it is asked about. */
type Subject =
  | { readonly kind: "bus-name"; readonly name: string }
  /** The process that `openProcess()` opens. */
  | { readonly kind: "process" };

export interface Caller {
  readonly uid: number;
  /** 0 where it is not known, or lies in a PID namespace we cannot see. */
  readonly pid: number;
  readonly subject: Subject;
  /** The calling process, pinned; the caller of this closes it. Throws SyscallError (ESRCH) when it is gone. */
  openProcess(): PidRef;
}

/** Users that need no permission. */
export function isPrivileged(caller: Caller): boolean {
  return caller.uid === 0 || caller.uid === (process.geteuid?.() ?? 0);
}

/** The sender of a message on a bus. Throws BusError when it has left the bus in the meantime. */
export async function callerOnBus(bus: Broker, sender: string): Promise<Caller> {
  const [credentials] = (await bus.driver("GetConnectionCredentials", "s", [sender])) as [
    Map<string, { value: unknown }>,
  ];
  const number = (key: string) => credentials.get(key)?.value as number | undefined;
  const pid = number("ProcessID") ?? 0;
  const open = processOf(credentials.get("ProcessFD")?.value as Fd | undefined, pid);
  return {
    uid: number("UnixUserID") ?? NOBODY,
    pid,
    subject: { kind: "bus-name", name: sender },
    openProcess: open,
  };
}

/**
 * Opens the process that a pidfd of the broker's refers to, later, if ever it is needed: nobody would be there to close
 * the pidfd of every caller. What it is known by is looked at now.
 */
function processOf(given: Fd | undefined, pid: number): () => PidRef {
  if (given === undefined) return () => PidRef.of(pid);
  let known: { id: bigint | null; startTicks: bigint };
  try {
    using process = PidRef.fromPidFd(given);
    known = { id: process.id, startTicks: process.verified(() => processStartTicks(process.pid)) };
  } catch {
    return () => {
      throw new SyscallError("process", "ESRCH", String(pid));
    };
  }
  return () => {
    const process = processStartedAt(pid, known.startTicks);
    if (process.id === known.id) return process;
    process[Symbol.dispose]();
    throw new SyscallError("process", "ESRCH", String(pid));
  };
}

/** A uid that owns nothing here: a broker that does not know the user has vouched for nobody. */
const NOBODY = 65534;

/**
 * The process at the other end of a socket of ours. To be called when the peer has just been accepted: where the kernel does
 * not keep the process for us, it is known by its time of start from now on.
 */
export function callerOnSocket(socket: Fd): Caller {
  const { uid, pid } = peerCredentials(socket);
  const startTicks = pid > 0 && !keepsPeers(socket) ? startTicksOf(pid) : null;
  return {
    uid,
    pid,
    subject: { kind: "process" },
    openProcess: () => {
      const pidfd = pid > 0 ? peerPidFd(socket) : null;
      return pidfd === null ? processStartedAt(pid, startTicks) : PidRef.fromPidFd(pidfd);
    },
  };
}

let kept: boolean | undefined;

/** Whether the kernel keeps a pidfd of each peer; asked once. */
function keepsPeers(socket: Fd): boolean {
  if (kept === undefined) {
    try {
      using pidfd = peerPidFd(socket);
      kept = pidfd !== null;
    } catch (error) {
      // It knows the option, and that peer is gone already.
      if (!(error instanceof SyscallError)) throw error;
      kept = true;
    }
  }
  return kept;
}

function startTicksOf(pid: number): bigint | null {
  try {
    return processStartTicks(pid);
  } catch {
    return null; // gone already
  }
}

/** The process with that number that was started then. Throws SyscallError (ESRCH) when it is gone. */
function processStartedAt(pid: number, startTicks: bigint | null): PidRef {
  const process = PidRef.of(pid);
  if (startTicks !== null && processStartTicks(pid) === startTicks) return process;
  process[Symbol.dispose]();
  throw new SyscallError("process", "ESRCH", String(pid));
}
