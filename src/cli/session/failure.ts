// Failures of a verb: one line on stderr and exit status 1 (machinectl(1), "Exit status").

import { errnoText } from "../../base/errno.ts";
import { ERRORS, errnoNameOf } from "../../base/error.ts";

interface FailureOptions extends ErrorOptions {
  /** What the user can do about it: a line of its own on terminals, because scripts match the message alone. */
  readonly hint?: string | undefined;
}

/** An error whose message is the line to print. Everything that a verb cannot do is reported by throwing one. */
export class Failure extends Error {
  override readonly name = "Failure";
  readonly hint: string | undefined;

  constructor(message: string, options: FailureOptions = {}) {
    super(message, options);
    this.hint = options.hint;
  }
}

/** An error reply of D-Bus, recognised by shape so that the client library need not be loaded to look at it. */
interface BusFailure extends Error {
  readonly errorName: string;
}

/** Whether an error is a D-Bus error reply; with names given, one of these. */
export function isBusFailure(error: unknown, ...names: string[]): error is BusFailure {
  if (!(error instanceof Error) || !("errorName" in error) || typeof error.errorName !== "string") return false;
  return names.length === 0 || names.includes(error.errorName);
}

/** An error reply of Varlink, recognised by shape for the same reason. */
interface VarlinkFailure extends Error {
  readonly id: string;
}

/** Whether an error is a Varlink error reply; with ids given, one of these. */
export function isVarlinkFailure(error: unknown, ...ids: string[]): error is VarlinkFailure {
  if (!(error instanceof Error) || !("id" in error) || typeof error.id !== "string") return false;
  return ids.length === 0 || ids.includes(error.id);
}

/** Whether the manager knows no machine of the name, or none any more; also as the cause of a Failure. */
export function meansNoMachine(error: unknown): boolean {
  const reply = error instanceof Failure ? error.cause : error;
  const { bus, varlink } = ERRORS.NoSuchMachine;
  return isBusFailure(reply, bus, "org.freedesktop.DBus.Error.UnknownObject") || isVarlinkFailure(reply, varlink);
}

/** Returns the reply to a question, or null for an error: what cannot be learned is left empty. */
export async function orNull<Reply>(reply: Promise<Reply>): Promise<Reply | null> {
  try {
    return await reply;
  } catch {
    return null;
  }
}

/** The error of a closed connection; its text comes from the library and is not printed. */
const DISCONNECTED = "org.freedesktop.DBus.Error.Disconnected";

/** Returns the reason to print after the colon: the text of an error reply, else that of strerror(3). */
export function reasonOf(error: unknown): string {
  if (isBusFailure(error) && error.message !== "" && error.errorName !== DISCONNECTED) return error.message;
  const errno = errnoNameOf(error);
  if (errno !== null) return errnoText(errno);
  if (isBusFailure(error)) return error.errorName;
  return error instanceof Error ? error.message : String(error);
}

const UNKNOWN_METHOD = "org.freedesktop.DBus.Error.UnknownMethod";
const NOT_STARTED = /^org\.freedesktop\.DBus\.Error\.(ServiceUnknown$|NameHasNoOwner$|Spawn\.)/;

/** What helps where the other side of a call is not there, or does not know the call; undefined for any other error. */
function hintForMissing(error: unknown): string | undefined {
  if (!isBusFailure(error)) return undefined;
  if (error.errorName === UNKNOWN_METHOD) return "The daemon that runs knows no such call: it is an older one.";
  if (!NOT_STARTED.test(error.errorName)) return undefined;
  if (error.message.includes("org.freedesktop.systemd1"))
    return "This takes systemd, which does not run this host; 'machinectl exec' runs commands in machines without it.";
  return "The daemon does not run, and could not be started: 'machined doctor' says why.";
}

/** A failure that says what was attempted, then why it failed. */
export function failed(attempt: string, error: unknown, hint = hintForMissing(error)): Failure {
  return new Failure(`${attempt}: ${reasonOf(error)}`, { cause: error, hint });
}

/**
 * Does some work. An error reply or an errno is rethrown as a Failure that says what was attempted, with the hint that
 * `hintFor` returns for it. A Failure is rethrown unchanged, and so is any other error, which is a bug.
 */
export async function attempt<T>(
  what: string,
  work: () => Promise<T>,
  hintFor?: (error: unknown) => string | undefined,
): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const isExpected = isBusFailure(error) || isVarlinkFailure(error) || errnoNameOf(error) !== null;
    throw isExpected && !(error instanceof Failure) ? failed(what, error, hintFor?.(error)) : error;
  }
}
