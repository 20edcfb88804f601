// Errors that end a verb with a line on stderr and exit status 1 (machinectl(1), "Exit status").

import { errnoText } from "../../base/errno.ts";
import { ERRORS, errnoNameOf, firstError, hostFaultOf } from "../../base/error.ts";
import { SYSTEMD1_NAME } from "../../base/vocabulary/bus-peers.ts";

interface FailureOptions extends ErrorOptions {
  /**
   * What the user can do about it. Printed as a line of its own, on terminals only, because scripts match the message.
   */
  readonly hint?: string | undefined;
}

/** An error whose message is printed as it is. Verbs throw it for everything that they report to the user. */
export class Failure extends Error {
  override readonly name = "Failure";
  readonly hint: string | undefined;

  constructor(message: string, options: FailureOptions = {}) {
    super(message, options);
    this.hint = options.hint;
  }
}

/**
 * Returns the Failure that is printed for an error: the error itself, or one for what the state of the host causes (a
 * full disk, no free descriptor …), wherever it comes from. Null for other errors, which are bugs.
 */
export function failureOf(thrown: unknown): Failure | null {
  const error = firstError(thrown);
  if (error instanceof Failure) return error;
  const errno = hostFaultOf(error);
  if (errno === null || !(error instanceof Error)) return null;
  const { errnoName, path, syscall } = error as Readonly<Error & Record<"errnoName" | "path" | "syscall", unknown>>;
  const what = typeof path === "string" ? `'${path}'` : syscall;
  // Our own errors have a text for users; those of the engine have the fields.
  const isOwn = typeof errnoName === "string" || typeof what !== "string";
  return new Failure(isOwn ? error.message : `${what}: ${errnoText(errno)}`, { cause: error });
}

/** An error reply of D-Bus. It is recognised by its fields, because its class is in a module that few verbs load. */
interface BusFailure extends Error {
  readonly errorName: string;
}

/** Whether an error is a D-Bus error reply; if names are passed, one with such a name. */
export function isBusFailure(error: unknown, ...names: string[]): error is BusFailure {
  if (!(error instanceof Error) || !("errorName" in error) || typeof error.errorName !== "string") return false;
  return names.length === 0 || names.includes(error.errorName);
}

/** An error reply of Varlink, recognised by its fields for the same reason. */
interface VarlinkFailure extends Error {
  readonly id: string;
}

/** Whether an error is a Varlink error reply; if ids are passed, one with such an id. */
export function isVarlinkFailure(error: unknown, ...ids: string[]): error is VarlinkFailure {
  if (!(error instanceof Error) || !("id" in error) || typeof error.id !== "string") return false;
  return ids.length === 0 || ids.includes(error.id);
}

/**
 * Whether an error, or the cause of a Failure, is the reply that no machine has this name, or that the machine's object
 * is gone because it ended.
 */
export function meansNoMachine(error: unknown): boolean {
  const reply = error instanceof Failure ? error.cause : error;
  const { bus, varlink } = ERRORS.NoSuchMachine;
  return isBusFailure(reply, bus, "org.freedesktop.DBus.Error.UnknownObject") || isVarlinkFailure(reply, varlink);
}

/** Returns the reply of a call, or null if the call fails: for values that are shown empty when they are not known. */
export async function orNull<Reply>(reply: Promise<Reply>): Promise<Reply | null> {
  try {
    return await reply;
  } catch {
    return null;
  }
}

/** The reason of a failure where signals of the manager were waited for. */
export const CONNECTION_LOST = "The connection to the manager was lost";

/** The error of a closed connection. Its text is made by the D-Bus library; strerror(3) is printed in its place. */
const DISCONNECTED = "org.freedesktop.DBus.Error.Disconnected";

/**
 * How the two message buses say that their policy refuses a message: with its header, or in words for developers. The
 * original prints "Access denied" for every error of that name; daemons say more.
 */
const REFUSED_BY_BUS = /, \d+ matched rules; type="|^Sender is not authorized to send message|^$/;

function isRefusedByBus(error: unknown): boolean {
  return isBusFailure(error, ERRORS.AccessDenied.bus) && REFUSED_BY_BUS.test(error.message);
}

/** Returns the reason that is printed after the colon: the text of an error reply, else that of strerror(3). */
export function reasonOf(error: unknown): string {
  if (isRefusedByBus(error)) return "Access denied";
  if (isBusFailure(error) && error.message !== "" && error.errorName !== DISCONNECTED) return error.message;
  const errno = errnoNameOf(error);
  if (errno !== null) return errnoText(errno);
  if (isBusFailure(error)) return error.errorName;
  return error instanceof Error ? error.message : String(error);
}

const UNKNOWN_METHOD = "org.freedesktop.DBus.Error.UnknownMethod";
const NOT_STARTED = /^org\.freedesktop\.DBus\.Error\.(ServiceUnknown$|NameHasNoOwner$|Spawn\.)/;

/** Returns a hint for calls to a service that does not run or lacks the method; undefined for other errors. */
function hintForMissing(error: unknown): string | undefined {
  if (!isBusFailure(error)) return undefined;
  if (error.message.includes("There is no system bus"))
    return "This takes a message bus and systemd; 'machinectl exec MACHINE COMMAND' runs commands in machines without either.";
  if (error.errorName === UNKNOWN_METHOD)
    return "The daemon that runs does not have this call: it is an older version.";
  if (!NOT_STARTED.test(error.errorName)) return undefined;
  if (error.message.includes(SYSTEMD1_NAME))
    return "This needs systemd, which does not run on this host; 'machinectl exec' runs commands in machines without it.";
  return "The daemon does not run, and could not be started: 'machined doctor' says why.";
}

/** Returns a Failure with the message `ATTEMPT: REASON`. */
export function failed(attempt: string, error: unknown, hint = hintForMissing(error)): Failure {
  return new Failure(`${attempt}: ${reasonOf(error)}`, { cause: error, hint });
}

/**
 * Runs `work` and returns its result. An error reply or an error with an errno is rethrown as the Failure `WHAT:
 * REASON`, with the hint that `hintFor` returns for it. A Failure is rethrown unchanged; so is any other error, which
 * is a bug.
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
