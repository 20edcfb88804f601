// The end of a machine while a command is started in it. Whatever is read of its leader fails then, in many ways.
import { ErrnoError } from "../base/error.ts";
import type { PidRef } from "../kernel/process/pidref.ts";
import { isErrno } from "../kernel/syscall/error.ts";

/** The error, with `ESRCH`, for a machine that has ended. */
export class MachineEnded extends ErrnoError {
  constructor(machine: string, cause?: unknown) {
    super("ESRCH", `Machine '${machine}' has ended`, { cause });
  }
}

/** Returns what `open` opens of the machine's leader. Throws MachineEnded for its `ESRCH`. */
export function openLeader(machine: string, open: () => PidRef): PidRef {
  try {
    return open();
  } catch (error) {
    throw isErrno(error, "ESRCH") ? new MachineEnded(machine, error) : error;
  }
}

/**
 * Runs `work`, which reads something of the machine's leader, and returns its result. Throws MachineEnded where
 * the leader has ended by then, whatever error that has caused.
 */
export function whileRunning<T>(machine: string, leader: PidRef, work: () => T): T {
  try {
    return leader.verified(work);
  } catch (error) {
    throw leader.isAlive() ? error : new MachineEnded(machine, error);
  }
}
