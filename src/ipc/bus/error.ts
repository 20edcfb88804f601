// Errors on D-Bus: an error reply as an exception, and the reply for an exception.
import { errnoNumber, errnoText } from "../../base/errno.ts";
import { busErrorOfErrno, ERRORS, errnoNameOf, errnoOfBusError, MachinedError } from "../../base/error.ts";

/** The prefix of the standard error names. */
export const DBUS_ERROR = "org.freedesktop.DBus.Error";

/**
 * `errorName` is the D-Bus error name, `message` its text, `errno` and `errnoName` the error to which sd-bus maps the
 * name.
 */
export class BusError extends Error {
  override readonly name = "BusError";
  readonly errorName: string;
  readonly errnoName: string;
  readonly errno: number;

  constructor(errorName: string, message: string) {
    super(message);
    this.errorName = errorName;
    this.errnoName = errnoOfBusError(errorName);
    this.errno = errnoNumber(this.errnoName) ?? 5;
  }

  /** Whether a peer replied that it does not have the method, the interface or the object. */
  get isMissing(): boolean {
    return /\.(UnknownMethod|UnknownInterface|UnknownObject)$/.test(this.errorName);
  }
}

/** Returns name and text of an error for the caller; null for a bug, whose details the caller does not get. */
export function describeError(error: unknown): { name: string; text: string } | null {
  if (error instanceof MachinedError) return { name: ERRORS[error.code].bus, text: error.message };
  if (error instanceof BusError) return { name: error.errorName, text: error.message };
  const errno = errnoNameOf(error);
  if (errno === null) return null;
  const own = (error as Error).name === "ErrnoError";
  return { name: busErrorOfErrno(errno), text: own ? (error as Error).message : errnoText(errno) };
}
