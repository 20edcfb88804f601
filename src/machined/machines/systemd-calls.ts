// Calls to the service manager over the bus, which are retried while it is unavailable (org.freedesktop.systemd1(5)).

import { Properties } from "../../api/peers.ts";
import { ErrnoError, errnoNameOf } from "../../base/error.ts";
import type { Variant } from "../../base/variant.ts";
import { SYSTEMD1_MANAGER, SYSTEMD1_NAME, SYSTEMD1_PATH } from "../../base/vocabulary/bus-peers.ts";
import type { BusClient } from "../../ipc/bus/client.ts";
import type { BusCall } from "../../ipc/bus/connection.ts";
import { BusError } from "../../ipc/bus/error.ts";

export const SYSTEMD_MANAGER = {
  destination: SYSTEMD1_NAME,
  path: SYSTEMD1_PATH,
  interface: SYSTEMD1_MANAGER,
};
const GONE = /\.(NoSuchUnit|LoadFailed|NoSuchJob)$/;
/** Errors of a manager that left the bus before it replied (daemon-reexec), is not on the bus yet, or is busy. */
const UNANSWERED = /\.(NoReply|Disconnected|ServiceUnknown|NameHasNoOwner|Timeout|TimedOut)$/;
/** How long calls are retried: shorter than callers wait, so that no call is made for a caller that has given up. */
const RETRY_MS = 20_000;
const RETRY_POLL_MS = 50;

export class SystemdCalls {
  #bus: BusClient | null = null;

  get isConnected(): boolean {
    return this.#bus !== null;
  }

  /** Uses this bus for calls until it is lost. */
  use(bus: BusClient): void {
    this.#bus = bus;
  }

  /** Stops using this bus. */
  forget(bus: BusClient): void {
    if (this.#bus === bus) this.#bus = null;
  }

  /** Calls a method of the manager; only for methods that may be called twice, while `mayRepeat` returns true. */
  manager(member: string, signature: string, body: readonly unknown[], mayRepeat?: () => boolean): Promise<unknown[]> {
    return this.insist(() => this.askOnce({ ...SYSTEMD_MANAGER, member, signature, body }), mayRepeat);
  }

  /** Returns the value of a property. */
  async property(path: string, iface: string, name: string): Promise<unknown> {
    const call = { destination: SYSTEMD1_NAME, path, interface: Properties.name, member: "Get" };
    const [value] = await this.ask({ ...call, signature: "ss", body: [iface, name] });
    return (value as Variant).value;
  }

  /** Makes a call, and repeats it where the manager did not reply. Only for calls that may be made twice. */
  ask(call: BusCall): Promise<unknown[]> {
    return this.insist(() => this.askOnce(call));
  }

  askOnce(call: BusCall): Promise<unknown[]> {
    return this.#bus === null ? Promise.reject(notConnected()) : this.#bus.call(call);
  }

  /** Repeats the attempt while the manager does not reply and `mayRepeat` returns true. */
  async insist<Answer>(attempt: () => Promise<Answer>, mayRepeat: () => boolean = () => true): Promise<Answer> {
    for (const deadline = performance.now() + RETRY_MS; ; ) {
      try {
        return await attempt();
      } catch (error) {
        if (!isUnanswered(error) || performance.now() > deadline) throw error;
        await Bun.sleep(RETRY_POLL_MS);
        if (!mayRepeat()) throw error;
      }
    }
  }
}

/** Whether an error says that the unit or job does not exist. */
export function isGone(error: unknown): boolean {
  return error instanceof BusError && GONE.test(error.errorName);
}

/** Whether it is unknown, after an error, if the manager carried out the call. */
export function isUnanswered(error: unknown): boolean {
  if (error instanceof BusError) return UNANSWERED.test(error.errorName);
  return errnoNameOf(error) === "ENOTCONN";
}

function notConnected(): ErrnoError {
  return new ErrnoError("ENOTCONN", "No connection to the service manager");
}
