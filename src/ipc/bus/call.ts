// A method call while it is answered: where it came from, its context for the handler, and its arguments.
import type { Access } from "../../api/access.ts";
import { ErrnoError } from "../../base/error.ts";
import type { Caller } from "../caller.ts";
import { FLAG_INTERACTIVE, type Outgoing } from "../message/message.ts";
import type { BusCallContext } from "./binding.ts";
import { BusError, DBUS_ERROR } from "./error.ts";
import type { Incoming } from "./stream.ts";

/** The connection of a call, to which its reply is sent. */
export interface Origin {
  caller(): Promise<Caller>;
  /** Calls `handler` when the caller disconnects; returns a function that unregisters it. */
  onGone(handler: () => void): () => void;
  send(message: Omit<Outgoing, "serial">): void;
}

/** The limit of descriptors in a call, as in dbus-daemon. */
export const CALL_DESCRIPTOR_LIMIT = 16;

/** Returns the arguments of a call, as `decode()` does. */
export type Arguments = () => unknown[];

/**
 * Decodes the arguments of a message. Throws InconsistentMessage where they are invalid, EMFILE where its descriptors
 * are lost.
 */
export function decode(message: Incoming): unknown[] {
  try {
    return message.values();
  } catch (error) {
    if (error instanceof ErrnoError) throw error;
    const text = (error as Error).message;
    throw new BusError(`${DBUS_ERROR}.InconsistentMessage`, `Cannot read the arguments: ${text}`);
  }
}

/** The context of a call; `access` and `subject` are set when its object and method are found. */
export class Call implements BusCallContext {
  readonly transport = "bus";
  readonly path: string;
  readonly interactive: boolean;
  /** Until the method is found, nothing is permitted. */
  access: Access = "privileged";
  subject: unknown = undefined;
  readonly #origin: Origin;

  constructor(message: Incoming, origin: Origin) {
    this.path = message.path ?? "";
    this.interactive = (message.flags & FLAG_INTERACTIVE) !== 0;
    this.#origin = origin;
  }

  caller(): Promise<Caller> {
    return this.#origin.caller();
  }

  onGone(handler: () => void): () => void {
    return this.#origin.onGone(handler);
  }
}
