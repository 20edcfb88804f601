// Who sent a call. On a bus the broker vouches for it, on a socket the kernel does; nothing the caller says counts.

import type { Fd } from "../kernel/fd.ts";
import { PidRef } from "../kernel/pidref.ts";
import { processStartTicks } from "../kernel/process-file.ts";
import { SyscallError } from "../kernel/sys.ts";
import { peerCredentials, peerPidFd } from "../kernel/unix-socket.ts";
import type { BusClient } from "./bus-client.ts";

/** How polkit is told whom it is asked about. */
export type Subject =
  | { readonly kind: "bus-name"; readonly name: string }
  | { readonly kind: "process"; readonly pid: number; readonly uid: number };

export interface Caller {
  readonly uid: number;
  /** 0 where it is not known, or lies in a PID namespace we cannot see. */
  readonly pid: number;
  readonly subject: Subject;
  /** The calling process, pinned; the caller of this closes it. Throws SyscallError (ESRCH) when it is gone. */
  openProcess(): PidRef;
}

/** The sender of a message on a bus. Throws BusError when it has left the bus in the meantime. */
export async function callerOnBus(bus: BusClient, sender: string): Promise<Caller> {
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
    const process = PidRef.of(pid);
    if (process.id === known.id && processStartTicks(pid) === known.startTicks) return process;
    process[Symbol.dispose]();
    throw new SyscallError("process", "ESRCH", String(pid));
  };
}

/** A uid that owns nothing here: a broker that does not know the user has vouched for nobody. */
const NOBODY = 65534;

/** The process at the other end of a socket of ours. */
export function callerOnSocket(socket: Fd): Caller {
  const { uid, pid } = peerCredentials(socket);
  return {
    uid,
    pid,
    subject: { kind: "process", pid, uid },
    openProcess: () => {
      const pidfd = pid > 0 ? peerPidFd(socket) : null;
      return pidfd === null ? PidRef.of(pid) : PidRef.fromPidFd(pidfd);
    },
  };
}
