// Reads files of /proc/PID: see proc(5).

import { openPath } from "../file/fd.ts";
import { readContent } from "../file/regular-file.ts";
import { isErrno, SyscallError } from "../syscall/sys.ts";

const LIMIT_BYTES = 4 * 1024 * 1024; // a command line may be as long as a quarter of the stack

/** Returns the content of `/proc/PID/NAME`; throws `ESRCH` where there is no such process (any more). */
export function readProcess(pid: number, name: string): Buffer {
  return ofProcess(pid, () => {
    using file = openPath(`/proc/${pid}/${name}`, "read");
    return readContent(file, LIMIT_BYTES);
  });
}

function ofProcess<T>(pid: number, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (isErrno(error, "ENOENT", "ESRCH")) throw new SyscallError("process", "ESRCH", String(pid));
    throw error;
  }
}

/** Returns the name of a process as in `ps -o comm`: at most 15 bytes, which the process itself can set to anything. */
export function processComm(pid: number): string {
  return readProcess(pid, "comm").toString().replace(/\n$/, "");
}

/** Returns the arguments of a process, which it can have overwritten; none for kernel threads and zombies. */
export function processCmdline(pid: number): string[] {
  const text = readProcess(pid, "cmdline").toString().replace(/\0+$/, "");
  return text === "" ? [] : text.split("\0");
}

/** Returns the real user id of a process. */
export function processUid(pid: number): number {
  return Number(processStatus(pid, "Uid").split("\t")[0]);
}

/** Returns the real group id of a process. */
export function processGid(pid: number): number {
  return Number(processStatus(pid, "Gid").split("\t")[0]);
}

/** Returns the parent's process id; 0 where it is outside of our pid namespace. */
export function processParent(pid: number): number {
  return Number(processStatus(pid, "PPid"));
}

/** Returns the value of a field in /proc/PID/status; throws `ENODATA` where it has no such field. */
export function processStatus(pid: number, field: string): string {
  for (const line of readProcess(pid, "status").toString().split("\n")) {
    if (line.startsWith(`${field}:`)) return line.slice(field.length + 1).trim();
  }
  throw new SyscallError("process", "ENODATA", String(pid));
}

/**
 * Returns the start time of a process in clock ticks since boot, which together with the PID is practically unique. May
 * wait for ever on new kernels, where the process hangs while it executes a program: process-link.ts does not.
 */
export function processStartTicks(pid: number): bigint {
  return startTicksOf(readProcess(pid, "stat").toString("latin1"));
}

/** Returns the start time in the text of /proc/PID/stat. */
export function startTicksOf(stat: string): bigint {
  // The name is in parentheses and may itself contain parentheses.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return BigInt(fields[19] ?? "0");
}

/** Returns whether a process has exited and was not reaped yet. */
export function isZombie(pid: number): boolean {
  return processStatus(pid, "State").startsWith("Z");
}
