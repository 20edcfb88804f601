// The exit status of a process that is not our child: from its pidfd after its parent has reaped it (Linux 6.15); from
// /proc while it is a zombie. See PIDFD_GET_INFO in <linux/pidfd.h>, and exit_code in proc_pid_stat(5).
import { pinForever } from "../syscall/mem.ts";
import { trySys } from "../syscall/sys.ts";
import type { PidRef } from "./pidref.ts";
import { readProcess } from "./process-file.ts";

/** An exit status, or the number of the signal that ended the process. */
type ProcessEnd =
  | { readonly kind: "exited"; readonly status: number }
  | { readonly kind: "killed"; readonly signal: number };

// struct pidfd_info { 0 u64 mask; 8 u64 cgroupid; 16 u32 pid, tgid, ppid, ruid, … fsgid; 60 s32 exit_code; }
const info = pinForever(64);
const EXIT_CODE = 60;
/** _IOWR(0xFF, 11, struct pidfd_info) */
const PIDFD_GET_INFO = 0xc040ff0b;
const PIDFD_INFO_EXIT = 1n << 3n;
/** The index of exit_code in /proc/PID/stat, counted from the state, which follows the name. */
const EXIT_CODE_FIELD = 49;

/** Returns how the process ended; null while it runs and where it is not known. */
export function processEnd(process: PidRef): ProcessEnd | null {
  // It may be reaped between the first two attempts.
  return endByPidfd(process) ?? endOfZombie(process) ?? endByPidfd(process);
}

function endByPidfd({ pidfd }: PidRef): ProcessEnd | null {
  if (pidfd === null || !pidfd.isOpen) return null;
  info.bytes.fill(0);
  info.view.setBigUint64(0, PIDFD_INFO_EXIT, true);
  if (trySys("ioctl", pidfd.number, PIDFD_GET_INFO, info) < 0) return null;
  const isKnown = (info.view.getBigUint64(0, true) & PIDFD_INFO_EXIT) !== 0n;
  return isKnown ? decode(info.view.getInt32(EXIT_CODE, true)) : null;
}

function endOfZombie(process: PidRef): ProcessEnd | null {
  try {
    const text = readProcess(process.pid, "stat").toString();
    // The name is in parentheses and may itself contain parentheses.
    const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
    // While the zombie can be signalled, its PID is not reused.
    process.kill(0);
    return fields[0] === "Z" ? decode(Number(fields[EXIT_CODE_FIELD])) : null;
  } catch {
    return null; // whatever failed, the status is unknown
  }
}

/** Decodes a status of wait(2). */
function decode(status: number): ProcessEnd {
  const signal = status & 0x7f;
  return signal === 0 ? { kind: "exited", status: (status >> 8) & 0xff } : { kind: "killed", signal };
}
