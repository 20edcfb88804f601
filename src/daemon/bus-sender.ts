// The sender of a call on the bus: its identity, its disconnection, and the replies to it.

import { BROKER } from "../base/vocabulary/bus-peers.ts";
import type { Origin } from "../ipc/bus/call.ts";
import type { BusClient } from "../ipc/bus/client.ts";
import { BusError } from "../ipc/bus/error.ts";
import type { Incoming } from "../ipc/bus/stream.ts";
import { type Caller, callerOnBus } from "../ipc/caller.ts";
import { GoneHandlers } from "../ipc/gone-handlers.ts";
import type { Outgoing } from "../ipc/message/message.ts";

export class BusSender implements Origin {
  readonly #bus: BusClient;
  readonly #name: string;

  constructor(bus: BusClient, message: Incoming) {
    this.#bus = bus;
    this.#name = message.sender ?? "";
  }

  caller(): Promise<Caller> {
    return callerOnBus(this.#bus, this.#name);
  }

  onGone(handler: () => void): () => void {
    return watchName(this.#bus, this.#name, handler);
  }

  send(reply: Omit<Outgoing, "serial">): void {
    this.#bus.send(reply);
  }
}

/**
 * Calls `handler` when a unique name leaves the bus or has left it already, and when the connection to the bus is lost.
 * Returns a function that stops this. One match rule serves all names, because a broker allows 512 rules for each
 * connection.
 */
function watchName(bus: BusClient, name: string, handler: () => void): () => void {
  const rule = { sender: BROKER, interface: BROKER, member: "NameOwnerChanged" };
  const gone = new GoneHandlers();
  const forget = gone.add(handler);
  const subscription = bus.subscribe(rule, ([changed, , owner]) => {
    if (changed === name && owner === "") gone.call();
  });
  const lost = () => gone.call();
  bus.onClose(lost);
  subscription
    .then(() => bus.driver("NameHasOwner", "s", [name]))
    .then(([isThere]) => {
      if (isThere === false) gone.call();
    })
    .catch((error: unknown) => {
      if (!(error instanceof BusError)) throw error;
    });
  return () => {
    forget();
    bus.offClose(lost);
    subscription.then((end) => end()).catch(() => {});
  };
}
