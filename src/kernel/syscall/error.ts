// The error that all functions of src/kernel throw.
import { errnoName, errnoNumber, errnoText } from "../../base/errno.ts";

/**
 * A failed system call: its name, errno and object. The message has the form
 * `open "/proc/1/root": No such file or directory`.
 */
export class SyscallError extends Error {
  override readonly name = "SyscallError";
  readonly syscall: string;
  readonly errno: number;
  readonly errnoName: string;
  readonly object?: string;

  /**
   * `error` is an errno or its name; `object` is what the call was about, mostly a path; `text` replaces that of
   * strerror(3).
   */
  constructor(syscall: string, error: number | string, object?: string, text?: string) {
    const errno = typeof error === "number" ? error : (errnoNumber(error) ?? 0);
    super(`${syscall}${object === undefined ? "" : ` ${JSON.stringify(object)}`}: ${text ?? errnoText(errno)}`);
    this.syscall = syscall;
    this.errno = errno;
    this.errnoName = errnoName(errno);
    if (object !== undefined) this.object = object;
  }
}

/** Returns whether `error` is a SyscallError with one of these errno names. */
export function isErrno(error: unknown, ...names: string[]): error is SyscallError {
  return error instanceof SyscallError && names.includes(error.errnoName);
}

function unless<Value, Absent>(
  isExpected: (error: unknown) => boolean,
  act: () => Value,
  absent: Absent,
): Value | Absent {
  try {
    return act();
  } catch (error) {
    if (isExpected(error)) return absent;
    throw error;
  }
}

/**
 * Returns what `act` returns; `absent` where it throws a SyscallError with one of these errno names. Throws every other
 * error.
 */
export function unlessErrno<Value, Absent>(act: () => Value, absent: Absent, ...names: string[]): Value | Absent {
  return unless((error) => isErrno(error, ...names), act, absent);
}

/** Returns what `act` returns; `absent` where it throws any SyscallError. Throws every other error. */
export function unlessSyscallError<Value, Absent>(act: () => Value, absent: Absent): Value | Absent {
  return unless((error) => error instanceof SyscallError, act, absent);
}
