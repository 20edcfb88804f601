// Which errors of opening and reading say that something does not exist, or is not for this user. No other error says
// so: without a free descriptor or memory, or with a disk that fails, it is not known what is there, and nothing may be
// decided by it.
import { errnoNameOf } from "./error.ts";

/**
 * `readRegular()` throws EBADF where a path is no regular file. ENXIO and ENODEV are the errors of a socket and of a
 * device without a driver.
 */
const NO_FILE = new Set("ENOENT ENOTDIR EISDIR ELOOP ENAMETOOLONG EACCES EPERM EBADF ENXIO ENODEV".split(" "));
/** ENODATA: a file of /proc/PID does not have the field. EREMOTE: the process is outside of our PID namespace. */
const NO_PROCESS = new Set("ESRCH ENOENT ENOTDIR EACCES EPERM ENODATA EREMOTE".split(" "));
const NO_RESOURCES = new Set("EMFILE ENFILE ENOMEM ENOBUFS EAGAIN".split(" "));

function isOneOf(names: ReadonlySet<string>, error: unknown): boolean {
  const name = errnoNameOf(error);
  return name !== null && names.has(name);
}

/**
 * Whether an error says that a path is no regular file, or that it may not be read. Returns false for errors after
 * which it is not known what the file contains: no descriptor or memory is free, the disk fails.
 */
export function meansNoFile(error: unknown): boolean {
  return isOneOf(NO_FILE, error);
}

/** Whether an error says that a process has ended, or belongs to another user and may not be examined. */
export function meansNoProcess(error: unknown): boolean {
  return isOneOf(NO_PROCESS, error);
}

/**
 * Whether an error says that this process or the host has no descriptor or memory left, which says nothing about the
 * file or process. Code that omits unreadable entries from a list must not omit an entry for such an error.
 */
export function lacksResources(error: unknown): boolean {
  return isOneOf(NO_RESOURCES, error);
}

function unless<Value, Absent>(means: (error: unknown) => boolean, read: () => Value, absent: Absent): Value | Absent {
  try {
    return read();
  } catch (error) {
    if (means(error)) return absent;
    throw error;
  }
}

/**
 * Returns what `read` returns; `absent` where there is no such file that may be read. Throws every other error of
 * `read`.
 */
export function unlessNoFile<Value, Absent>(read: () => Value, absent: Absent): Value | Absent {
  return unless(meansNoFile, read, absent);
}

/**
 * Returns what `read` returns; `absent` where there is no such process that may be read. Throws every other error of
 * `read`.
 */
export function unlessNoProcess<Value, Absent>(read: () => Value, absent: Absent): Value | Absent {
  return unless(meansNoProcess, read, absent);
}
