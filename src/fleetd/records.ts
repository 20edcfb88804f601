// Keeps the records of this host and its machines in the buckets: written again at a third of their time to live, and at
// once when something changes.
import type { NatsConnection } from "@nats-io/transport-node";
import type { Log } from "../base/log.ts";
import { recordSubject } from "../fleet/names.ts";
import { type HostRecord, type MachineRecord, MOST_RECORD_BYTES, machineText } from "../fleet/record.ts";

/** Changes that come together are one round. */
const PACE_MS = 250;
/** The server has this long to acknowledge a round. */
const ACK_MS = 5000;
const ROUNDS_OF_TTL = 3;

interface RecordSource {
  /** The machines of now; throws where the local daemon does not answer. */
  machines(): Promise<readonly MachineRecord[]>;
  host(machines: number): HostRecord;
}

/** The writer of one connection. */
export class RecordWriter {
  readonly #nats: NatsConnection;
  readonly #source: RecordSource;
  readonly #log: Log;
  readonly #roundMs: number;
  /** The machines that were written in the last round, by name. */
  #written = new Set<string>();
  #wake: (() => void) | null = null;
  #isWanted = false;
  #isClosed = false;

  constructor(nats: NatsConnection, source: RecordSource, ttlMs: number, log: Log) {
    this.#nats = nats;
    this.#source = source;
    this.#log = log;
    this.#roundMs = ttlMs / ROUNDS_OF_TTL;
  }

  /** Something changed: the next round comes soon. */
  soon(): void {
    this.#isWanted = true;
    this.#wake?.();
  }

  close(): void {
    this.#isClosed = true;
    this.#wake?.();
  }

  /** Writes round after round until `close()`; throws where the server does not take one. */
  async run(): Promise<void> {
    while (!this.#isClosed) {
      this.#isWanted = false;
      await this.round();
      await this.#pause(PACE_MS, false);
      if (!this.#isWanted) await this.#pause(this.#roundMs - PACE_MS, true);
    }
  }

  /** One round. Machines come first: when the server has the record of the host, it has theirs. */
  async round(): Promise<void> {
    let machines: readonly MachineRecord[] | null = null;
    try {
      machines = await this.#source.machines();
    } catch (error) {
      // Their records end with their time to live unless the daemon is back before.
      this.#log.debug(`The local daemon does not list its machines: ${(error as Error).message}`);
    }
    if (this.#isClosed) return;
    if (machines !== null) await this.#writeMachines(machines);
    const host = this.#source.host(this.#written.size);
    const { jetstream } = await import("@nats-io/jetstream");
    await jetstream(this.#nats).publish(recordSubject(host.host, null), JSON.stringify(host), { timeout: ACK_MS });
  }

  async #writeMachines(machines: readonly MachineRecord[]): Promise<void> {
    const written = new Set<string>();
    for (const record of machines) {
      const text = machineText(record);
      if (Buffer.byteLength(text) > MOST_RECORD_BYTES) continue;
      this.#nats.publish(recordSubject(record.host, record.machine), text);
      written.add(record.machine);
    }
    const [host] = machines;
    const gone = [...this.#written].filter((name) => !written.has(name));
    this.#written = written;
    if (gone.length === 0) return;
    const { headers } = await import("@nats-io/transport-node");
    const marker = headers();
    marker.set("KV-Operation", "DEL");
    const name = host?.host ?? this.#source.host(0).host;
    for (const machine of gone) this.#nats.publish(recordSubject(name, machine), "", { headers: marker });
  }

  /** Waits; `soon()` ends that where `isWoken`, and `close()` always. */
  #pause(ms: number, isWoken: boolean): Promise<void> {
    return new Promise((resolve) => {
      const end = () => {
        clearTimeout(timer);
        this.#wake = null;
        resolve();
      };
      const timer = setTimeout(end, ms);
      this.#wake = () => {
        if (isWoken || this.#isClosed) end();
      };
      if (this.#isClosed) end();
    });
  }
}
