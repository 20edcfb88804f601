// The sender of a call: on a bus the broker identifies it, on a socket the kernel. Nothing that the caller says is
// trusted.

import { meansNoProcess } from "../base/absence.ts";
import type { Fd } from "../kernel/file/fd.ts";
import { PidRef } from "../kernel/process/pidref.ts";
import { processStartTicks } from "../kernel/process/process-file.ts";
import { peerCredentials, peerPidFd } from "../kernel/socket/unix.ts";
import { SyscallError } from "../kernel/syscall/sys.ts";

/** The part of a connection to a bus that its broker answers. */
interface Broker {
  driver(member: string, signature: string, body: readonly unknown[]): Promise<unknown[]>;
}

/** The subject of a question to polkit. */
type Subject =
  | { readonly kind: "bus-name"; readonly name: string }
  /** The process that `openProcess()` opens. */
  | { readonly kind: "process" };

export interface Caller {
  readonly uid: number;
  /** 0 where it is unknown, or in a PID namespace that this process cannot see. */
  readonly pid: number;
  readonly subject: Subject;
  /** Pins the calling process; the caller of this function closes it. Throws SyscallError (ESRCH) when it has ended. */
  openProcess(): PidRef;
}

/** Whether the caller is root or the daemon's own user, who need no permission. */
export function isPrivileged(caller: Caller): boolean {
  return caller.uid === 0 || caller.uid === (process.geteuid?.() ?? 0);
}

/** Returns the sender of a message on a bus. Throws BusError when it has left the bus meanwhile. */
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
 * Returns a function that opens the process of a broker's pidfd when it is needed: keeping the pidfd of every caller
 * would need an owner that closes it. The identity of the process is read now.
 */
function processOf(given: Fd | undefined, pid: number): () => PidRef {
  if (given === undefined) return () => PidRef.of(pid);
  let id: bigint | null;
  let open: () => PidRef;
  try {
    using process = PidRef.fromPidFd(given);
    ({ id } = process);
    open = id === null ? process.verified(() => openerByStartTime(pid)) : () => PidRef.of(pid);
  } catch (error) {
    return () => {
      throw error;
    };
  }
  return () => {
    const process = open();
    if (process.id === id) return process;
    process[Symbol.dispose]();
    throw new SyscallError("process", "ESRCH", String(pid));
  };
}

/** The uid that the kernel uses for users without a mapping. A caller with this uid is not identified. */
const NOBODY = 65534;

/**
 * Returns the peer of a socket. Must be called when the peer has just been accepted: where the kernel keeps no pidfd of
 * the peer, its process is identified by its start time from now on.
 */
export function callerOnSocket(socket: Fd): Caller {
  const { uid, pid } = peerCredentials(socket);
  const open = pid > 0 && keepsPeers(socket) ? () => noProcess(pid) : openerByStartTime(pid);
  return {
    uid,
    pid,
    subject: { kind: "process" },
    openProcess: () => {
      const pidfd = pid > 0 ? peerPidFd(socket) : null;
      return pidfd === null ? open() : PidRef.fromPidFd(pidfd);
    },
  };
}

let kept: boolean | undefined;

/** Whether the kernel keeps a pidfd of each peer; detected once. */
function keepsPeers(socket: Fd): boolean {
  if (kept === undefined) {
    try {
      using pidfd = peerPidFd(socket);
      kept = pidfd !== null;
    } catch (error) {
      // The kernel knows the option, and that peer has ended already.
      if (!(error instanceof SyscallError)) throw error;
      kept = true;
    }
  }
  return kept;
}

function noProcess(pid: number): never {
  throw new SyscallError("process", "ESRCH", String(pid));
}

/**
 * Reads the start time of a process now. The returned function pins the process with that number and start time; it
 * throws SyscallError: ESRCH where the process has ended, or the error of the reading, such as EMFILE, which does not
 * mean that it has.
 */
export function openerByStartTime(pid: number, read: (pid: number) => bigint = processStartTicks): () => PidRef {
  if (pid <= 0) return () => noProcess(pid);
  try {
    const startTicks = read(pid);
    return () => processStartedAt(pid, startTicks);
  } catch (error) {
    return () => {
      throw meansNoProcess(error) ? new SyscallError("process", "ESRCH", String(pid)) : error;
    };
  }
}

/** Pins the process with that number and start time. Throws SyscallError (ESRCH) when it has ended. */
function processStartedAt(pid: number, startTicks: bigint): PidRef {
  using owner = new DisposableStack();
  const process = owner.use(PidRef.of(pid));
  if (processStartTicks(pid) !== startTicks) noProcess(pid);
  owner.move();
  return process;
}
