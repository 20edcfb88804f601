// How a verb ends badly: one line for stderr and exit status 1 (machinectl(1), "Exit status").

import { errnoText } from "../base/errno.ts";
import { errnoNameOf } from "../base/error.ts";

/** An error whose message is the line to print. Everything a verb cannot do ends in one. */
export class Failure extends Error {
  override readonly name = "Failure";
}

/** An error reply of D-Bus, recognised by shape so that the client library need not be loaded to look at it. */
export interface BusFailure extends Error {
  readonly errorName: string;
}

/** Whether an error is a D-Bus error reply; with names given, one of these. */
export function isBusFailure(error: unknown, ...names: string[]): error is BusFailure {
  if (!(error instanceof Error) || !("errorName" in error) || typeof error.errorName !== "string") return false;
  return names.length === 0 || names.includes(error.errorName);
}

/** An error reply of Varlink, recognised by shape for the same reason. */
export interface VarlinkFailure extends Error {
  readonly id: string;
}

/** Whether an error is a Varlink error reply; with ids given, one of these. */
export function isVarlinkFailure(error: unknown, ...ids: string[]): error is VarlinkFailure {
  if (!(error instanceof Error) || !("id" in error) || typeof error.id !== "string") return false;
  return ids.length === 0 || ids.includes(error.id);
}

/** What to print after the colon: the text of an error reply, else what strerror(3) says of the errno. */
export function reasonOf(error: unknown): string {
  if (isBusFailure(error) && error.message !== "") return error.message;
  const errno = errnoNameOf(error);
  if (errno !== null) return errnoText(errno);
  if (isBusFailure(error)) return error.errorName;
  return error instanceof Error ? error.message : String(error);
}

/** A failure that says what was attempted, then why it failed. */
export function failed(attempt: string, error: unknown): Failure {
  return new Failure(`${attempt}: ${reasonOf(error)}`, { cause: error });
}
