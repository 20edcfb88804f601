// Calls that arrive on the bus before the daemon is ready to answer them.
import type { BusClient } from "../ipc/bus/client.ts";
import type { Incoming } from "../ipc/bus/stream.ts";
import { FLAG_NO_REPLY, MESSAGE_TYPE } from "../ipc/message/message.ts";

/** How many calls are kept; further ones get the error LimitsExceeded. */
const EARLY_CALLS_MAX = 1024;

/** Keeps calls until `take()`. The descriptors of calls that were not taken are closed with the connection. */
export class EarlyCalls {
  readonly #bus: BusClient;
  #calls: Incoming[] = [];

  constructor(bus: BusClient) {
    this.#bus = bus;
    bus.onCall((message) => {
      if (this.#calls.length < EARLY_CALLS_MAX) this.#calls.push(message);
      else this.#refuse(message);
    });
    bus.onClose(() => {
      for (const message of this.take()) closeAll(message);
    });
  }

  /** Returns the calls and forgets them; the caller owns their descriptors. */
  take(): Incoming[] {
    const calls = this.#calls;
    this.#calls = [];
    return calls;
  }

  #refuse(message: Incoming): void {
    closeAll(message);
    if ((message.flags & FLAG_NO_REPLY) !== 0) return;
    this.#bus.send({
      type: MESSAGE_TYPE.error,
      replySerial: message.serial,
      destination: message.sender,
      errorName: "org.freedesktop.DBus.Error.LimitsExceeded",
      signature: "s",
      body: ["Too many calls before the service is ready"],
    });
  }
}

function closeAll({ descriptors }: Incoming): void {
  for (const fd of descriptors) fd.close();
}
