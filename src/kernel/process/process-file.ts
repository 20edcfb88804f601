// Reading /proc/PID: see proc(5).
import { openPath, readRegular } from "../file/fd.ts";
import { isErrno, SyscallError } from "../syscall/sys.ts";

const LIMIT_BYTES = 4 * 1024 * 1024; // a command line may be as long as a quarter of the stack

/** The content of `/proc/PID/NAME`; `ESRCH` when there is no such process (any more). */
export function readProcess(pid: number, name: string): Buffer {
  return ofProcess(pid, () => {
    using file = openPath(`/proc/${pid}/${name}`, "read");
    return readRegular(file, LIMIT_BYTES);
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

/** The name of a process, as `ps -o comm` shows it: 15 bytes at most, and whatever the process chose. */
export function processComm(pid: number): string {
  return readProcess(pid, "comm").toString().replace(/\n$/, "");
}

/** The arguments a process was started with, or what it replaced them by; none for kernel threads and zombies. */
export function processCmdline(pid: number): string[] {
  const text = readProcess(pid, "cmdline").toString().replace(/\0+$/, "");
  return text === "" ? [] : text.split("\0");
}

/** The real user id of a process. */
export function processUid(pid: number): number {
  return Number(processStatus(pid, "Uid").split("\t")[0]);
}

/** The real group id of a process. */
export function processGid(pid: number): number {
  return Number(processStatus(pid, "Gid").split("\t")[0]);
}

/** The parent's process id; 0 when it is outside our pid namespace. */
export function processParent(pid: number): number {
  return Number(processStatus(pid, "PPid"));
}

/** The text behind `FIELD:` in /proc/PID/status. */
export function processStatus(pid: number, field: string): string {
  for (const line of readProcess(pid, "status").toString().split("\n")) {
    if (line.startsWith(`${field}:`)) return line.slice(field.length + 1).trim();
  }
  throw new SyscallError("process", "ENODATA", String(pid));
}

/** When a process was started, in clock ticks since boot: with its pid it is as good as unique. */
export function processStartTicks(pid: number): bigint {
  const text = readProcess(pid, "stat").toString();
  // The name stands in parentheses and may contain anything, parentheses included.
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  return BigInt(fields[19] ?? "0");
}

/** Whether a process has exited and only waits for its parent to notice. */
export function isZombie(pid: number): boolean {
  return processStatus(pid, "State").startsWith("Z");
}
