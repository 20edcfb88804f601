// The one error of the kernel layer.
import { errnoName, errnoNumber, errnoText } from "../../base/errno.ts";

/**
 * A system call that failed: which one, with which errno, and on what. The message reads
 * `open "/proc/1/root": No such file or directory`.
 */
export class SyscallError extends Error {
  override readonly name = "SyscallError";
  readonly syscall: string;
  readonly errno: number;
  readonly errnoName: string;
  readonly object?: string;

  /** `error` is an errno or its name; `object` is what the call was about, a path mostly; `text` replaces strerror(3). */
  constructor(syscall: string, error: number | string, object?: string, text?: string) {
    const errno = typeof error === "number" ? error : (errnoNumber(error) ?? 0);
    super(`${syscall}${object === undefined ? "" : ` ${JSON.stringify(object)}`}: ${text ?? errnoText(errno)}`);
    this.syscall = syscall;
    this.errno = errno;
    this.errnoName = errnoName(errno);
    if (object !== undefined) this.object = object;
  }
}

/** Whether `error` is a SyscallError with one of these names. */
export function isErrno(error: unknown, ...names: string[]): error is SyscallError {
  return error instanceof SyscallError && names.includes(error.errnoName);
}
