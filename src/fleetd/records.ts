// Keeps the records of this host and its machines in the buckets: each is written again at a third of its time to live,
// and at once when it changes.
import type { NatsConnection } from "@nats-io/transport-node";
import type { Log } from "../base/log.ts";
import { recordSubject } from "../fleet/names.ts";
import { type HostRecord, hostText, type MachineRecord, MOST_RECORD_BYTES, machineText } from "../fleet/record.ts";
import { MACHINE_TTLS } from "../fleet/streams.ts";

/** Changes within this time are written in one round. */
const PACE_MS = 250;
/**
 * The shortest deadline for the server's acknowledgements of a round; it is the interval of rounds where that is
 * longer.
 */
const LEAST_ACK_MS = 5000;
const ROUNDS_OF_TTL = 3;

interface RecordSource {
  /** Returns the present machines; throws where the local daemon does not answer. */
  machines(): Promise<readonly MachineRecord[]>;
  /** Returns the record of the host with machines of these names. */
  host(names: readonly string[]): Omit<HostRecord, "since">;
}

/** The writer of one connection. */
export class RecordWriter {
  readonly #nats: NatsConnection;
  readonly #source: RecordSource;
  readonly #log: Log;
  readonly #roundMs: number;
  /**
   * When this connection began to be used, µs since 1970. The records of machines that are written over it are newer.
   */
  readonly #since = Date.now() * 1000;
  /** The last written record of each machine, without its time. */
  readonly #written = new Map<string, string>();
  /** The number of rounds until all machines are written again. */
  #rounds = 0;
  #wake: (() => void) | null = null;
  #isWanted = false;
  #isClosed = false;
  /** Whether it was logged that the machines cannot be listed. */
  #isTold = false;

  constructor(nats: NatsConnection, source: RecordSource, ttlMs: number, log: Log) {
    this.#nats = nats;
    this.#source = source;
    this.#log = log;
    this.#roundMs = ttlMs / ROUNDS_OF_TTL;
  }

  /** Starts the next round soon, because something has changed. */
  soon(): void {
    this.#isWanted = true;
    this.#wake?.();
  }

  close(): void {
    this.#isClosed = true;
    this.#wake?.();
  }

  /** Writes round after round until `close()`; throws where the server does not acknowledge one. */
  async run(): Promise<void> {
    while (!this.#isClosed) {
      this.#isWanted = false;
      await this.round();
      await this.#pause(PACE_MS, false);
      if (!this.#isWanted && (await this.#pause(this.#roundMs - PACE_MS, true))) this.#rounds--;
    }
  }

  /**
   * Writes one round. The records of machines are written before that of the host, so that a reader of the latter finds
   * them.
   */
  async round(): Promise<void> {
    let machines: readonly MachineRecord[] | null = null;
    try {
      machines = await this.#source.machines();
      this.#isTold = false;
    } catch (error) {
      // Their records expire unless the daemon answers again before.
      const text = `The machines of this host cannot be listed, and will leave the fleet: ${(error as Error).message}`;
      if (!this.#isTold) this.#log.warning(text);
      this.#isTold = true;
    }
    if (this.#isClosed) return;
    const names = machines?.map(({ machine }) => machine) ?? [...this.#written.keys()];
    const host = { ...this.#source.host(names), since: this.#since };
    if (machines !== null) await this.#writeMachines(host.host, machines);
    const { jetstream } = await import("@nats-io/jetstream");
    await jetstream(this.#nats).publish(recordSubject(host.host, null), hostText(host), {
      timeout: Math.max(this.#roundMs, LEAST_ACK_MS),
    });
  }

  /** Writes new and changed records, and all of them every few rounds. */
  async #writeMachines(host: string, machines: readonly MachineRecord[]): Promise<void> {
    const isFull = this.#rounds <= 0;
    if (isFull) this.#rounds = MACHINE_TTLS;
    const gone = new Set(this.#written.keys());
    for (const record of machines) {
      gone.delete(record.machine);
      const facts = machineText({ ...record, time: 0 });
      const text = machineText(record);
      if (Buffer.byteLength(text) > MOST_RECORD_BYTES) continue;
      if (!isFull && this.#written.get(record.machine) === facts) continue;
      this.#written.set(record.machine, facts);
      this.#nats.publish(recordSubject(host, record.machine), text);
    }
    if (gone.size === 0) return;
    const { headers } = await import("@nats-io/transport-node");
    const marker = headers();
    marker.set("KV-Operation", "DEL");
    for (const machine of gone) {
      this.#written.delete(machine);
      this.#nats.publish(recordSubject(host, machine), "", { headers: marker });
    }
  }

  /** Waits; `close()` ends that, and `soon()` where `isWoken` is set. Returns whether the whole time has passed. */
  #pause(ms: number, isWoken: boolean): Promise<boolean> {
    return new Promise((resolve) => {
      const end = (isOver: boolean) => {
        clearTimeout(timer);
        this.#wake = null;
        resolve(isOver);
      };
      const timer = setTimeout(end, ms, true);
      this.#wake = () => {
        if (isWoken || this.#isClosed) end(false);
      };
      if (this.#isClosed) end(false);
    });
  }
}
