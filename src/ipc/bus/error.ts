// An error reply of a D-Bus peer, as an exception.
import { errnoNumber } from "../../base/errno.ts";
import { errnoOfBusError } from "../../base/error.ts";

/** `errorName` is the D-Bus error name, `message` its text, `errno`/`errnoName` what a C client makes of the name. */
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
