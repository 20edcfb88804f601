// Calls of a client, and their replies and errors: the common part of both clients, connection.ts and
// ../plain/client.ts.
import { busErrorOfErrno, ErrnoError } from "../../base/error.ts";
import { Variant } from "../../base/variant.ts";
import type { Fd } from "../../kernel/file/fd.ts";
import { MESSAGE_TYPE, type Outgoing } from "../message/message.ts";
import { BusError, DBUS_ERROR } from "./error.ts";
import type { Incoming } from "./stream.ts";

/** A method call to a peer. Without `interactive` the peer may not ask a person. `timeoutMs` is 25 s by default. */
export interface BusCall {
  readonly destination?: string;
  readonly path: string;
  readonly interface: string;
  readonly member: string;
  readonly signature?: string;
  readonly body?: readonly unknown[];
  readonly interactive?: boolean;
  readonly noAutoStart?: boolean;
  readonly timeoutMs?: number;
  /** Whether there are descriptors among the arguments or the results. */
  readonly passesDescriptors?: boolean;
}

export const CALL_TIMEOUT_MS = 25_000;

/** Returns the flags of a call's message. */
export function flagsOf(call: BusCall): number {
  return (call.interactive === true ? 4 : 0) | (call.noAutoStart === true ? 2 : 0);
}

/**
 * Returns the values of a reply, or the name of an error with its text as the only value. The text is "" where the
 * first value of the error is none: the bytes of an array may be no text, and a broker disconnects who passes them on.
 */
export function answerOf(message: Incoming): { readonly values: unknown[]; readonly error?: string } {
  try {
    const values = message.values();
    if (message.type === MESSAGE_TYPE.reply) return { values };
    const [text] = values;
    return { values: [typeof text === "string" ? text : ""], error: message.errorName ?? "" };
  } catch (error) {
    const name = error instanceof ErrnoError ? busErrorOfErrno(error.errnoName) : `${DBUS_ERROR}.InconsistentMessage`;
    return { values: [(error as Error).message], error: name };
  }
}

/** Returns the error reply to a call that a peer sends to a client, which has no methods. */
export function unknownMethod(message: Incoming): Omit<Outgoing, "serial"> {
  return {
    type: MESSAGE_TYPE.error,
    replySerial: message.serial,
    destination: message.sender,
    errorName: "org.freedesktop.DBus.Error.UnknownMethod",
    signature: "s",
    body: [`Unknown method ${message.member} or interface ${message.interface ?? ""}.`],
  };
}

export function closeAll(descriptors: Iterable<Fd>): void {
  for (const fd of descriptors) fd.close();
}

/** Returns those of the descriptors of a message that are among its values, at any depth. */
export function descriptorsIn(values: readonly unknown[], all: readonly Fd[]): ReadonlySet<Fd> {
  const found = new Set<Fd>();
  const visit = (value: unknown): void => {
    if (all.includes(value as Fd)) found.add(value as Fd);
    else if (value instanceof Variant) visit(value.value);
    else if (value instanceof Map) for (const entry of value.values()) visit(entry);
    else if (Array.isArray(value)) for (const entry of value) visit(entry);
  };
  visit(values);
  return found;
}

/** Returns the error of calls on a connection that has ended. */
export function disconnected(cause?: Error): BusError {
  const text = cause === undefined ? "Connection terminated" : `Connection terminated: ${cause.message}`;
  return new BusError("org.freedesktop.DBus.Error.Disconnected", text);
}

/** Returns the error of a call that was not answered in time. */
export function noReply(call: BusCall): BusError {
  return new BusError("org.freedesktop.DBus.Error.NoReply", `No answer to ${call.interface}.${call.member}() in time`);
}
