// Keeps the records of this host and its machines in the buckets: each is written again at a third of its time to live,
// and at once when it changes.
import type { JetStreamClient } from "@nats-io/jetstream";
import type { MsgHdrs, NatsConnection } from "@nats-io/transport-node";
import type { Log } from "../base/log.ts";
import { isPassingForStream } from "../fleet/errors.ts";
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
/**
 * The shortest and the longest pause before a round that the server did not acknowledge is written again. It doubles,
 * and varies at random.
 */
const RETRY_MS = 500;
const RETRY_LIMIT_MS = 5000;
/** How many records of machines are sent before the server has acknowledged the first of them. */
const MOST_PENDING = 64;

interface RecordSource {
  readonly hostName: string;
  /** Returns the present machines; throws where the local daemon does not answer. */
  machines(): Promise<readonly MachineRecord[]>;
  /** Returns the record of the host with machines of these names. */
  host(names: readonly string[]): Omit<HostRecord, "since">;
  /** Returns the time in µs since 1970, which is never earlier than before. */
  usec(): number;
  /** Called for each round that the server has acknowledged. */
  written(): void;
  /** Called where it has not, and the round is written again; `isThere`: the record of this host was written before. */
  refused(error: Error, isThere: boolean): void;
}

/** What was written for a machine. */
interface Written {
  /** Its last record, without its time; "" where the server's state is not known. */
  readonly facts: string;
  /** Until when the bucket has a record of the machine, in ms of performance.now(); 0 where that is not known. */
  readonly untilMs: number;
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
  readonly #since: number;
  readonly #written = new Map<string, Written>();
  /** The number of rounds until all machines are written again. */
  #rounds = 0;
  #wake: (() => void) | null = null;
  #isWanted = false;
  #isClosed = false;
  /** Whether the record of the host was written over this connection. */
  #hasBegun = false;
  /** Whether it was logged that the machines cannot be listed. */
  #isTold = false;

  constructor(nats: NatsConnection, source: RecordSource, ttlMs: number, log: Log) {
    this.#nats = nats;
    this.#source = source;
    this.#since = source.usec();
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

  /**
   * Writes round after round until `close()`. What the server does not acknowledge is written again over the same
   * connection where that may succeed: the server of a cluster that led a bucket may have failed. Else throws.
   */
  async run(): Promise<void> {
    let retryMs = RETRY_MS;
    while (!this.#isClosed) {
      this.#isWanted = false;
      try {
        await this.round();
      } catch (error) {
        if (this.#isClosed || this.#nats.isClosed() || !isPassingForStream(error)) throw error;
        this.#source.refused(error as Error, this.#hasBegun);
        await this.#pause(retryMs * (0.5 + Math.random()), false);
        retryMs = Math.min(retryMs * 2, RETRY_LIMIT_MS);
        continue;
      }
      retryMs = RETRY_MS;
      this.#source.written();
      await this.#pause(PACE_MS, false);
      if (!this.#isWanted && (await this.#pause(this.#roundMs - PACE_MS, true))) this.#rounds--;
    }
  }

  /**
   * Writes one round. The records of machines are written before that of the host, so that a reader of the latter finds
   * them. Throws the error of a record that was not acknowledged.
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
    const { jetstream } = await import("@nats-io/jetstream");
    const stream = jetstream(this.#nats);
    const failure = machines === null ? null : await this.#writeMachines(stream, machines);
    // Without the records of machines, the first record of the host would hide those of the connection before.
    if (failure !== null && !this.#hasBegun) throw failure;
    const host = { ...this.#source.host(this.#storedNames()), since: this.#since };
    await stream.publish(recordSubject(host.host, null), hostText(host), { timeout: this.#ackMs });
    this.#hasBegun = true;
    if (failure !== null) throw failure;
  }

  /**
   * Returns the names of the machines whose records stay in the bucket as long as a record of the host that is written
   * now: readers report a machine that is named and has no record.
   */
  #storedNames(): string[] {
    const end = performance.now() + this.#roundMs * ROUNDS_OF_TTL;
    return [...this.#written].filter(([, { untilMs }]) => untilMs > end).map(([name]) => name);
  }

  get #ackMs(): number {
    return Math.max(this.#roundMs, LEAST_ACK_MS);
  }

  /**
   * Writes new and changed records, and all of them every few rounds. Returns the error of the first record that the
   * server did not acknowledge, which the next round writes again; else null.
   */
  async #writeMachines(stream: JetStreamClient, machines: readonly MachineRecord[]): Promise<Error | null> {
    const isFull = this.#rounds <= 0;
    if (isFull) this.#rounds = MACHINE_TTLS;
    const gone = new Set(this.#written.keys());
    const pending = new PendingWrites();
    for (const listed of machines) {
      const record = { ...listed, time: this.#source.usec() };
      gone.delete(record.machine);
      const facts = machineText({ ...record, time: 0 });
      const text = machineText(record);
      if (Buffer.byteLength(text) > MOST_RECORD_BYTES) continue;
      const before = this.#written.get(record.machine);
      if (!isFull && before?.facts === facts) continue;
      const untilMs = performance.now() + this.#roundMs * ROUNDS_OF_TTL * MACHINE_TTLS;
      await pending.add(this.#write(stream, record.machine, text), (isStored) => {
        // An unknown state is written again.
        const unknown = { facts: "", untilMs: before?.untilMs ?? 0 };
        this.#written.set(record.machine, isStored ? { facts, untilMs } : unknown);
      });
    }
    if (gone.size > 0) {
      const { headers } = await import("@nats-io/transport-node");
      const marker = headers();
      marker.set("KV-Operation", "DEL");
      for (const machine of gone) {
        await pending.add(this.#write(stream, machine, "", marker), (isStored) => {
          if (isStored) this.#written.delete(machine);
          else this.#written.set(machine, { facts: "", untilMs: 0 });
        });
      }
    }
    return pending.settled();
  }

  #write(stream: JetStreamClient, machine: string, text: string, headers?: MsgHdrs): Promise<unknown> {
    const options = { timeout: this.#ackMs, ...(headers === undefined ? {} : { headers }) };
    return stream.publish(recordSubject(this.#source.hostName, machine), text, options);
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

/** Writes that the server has not acknowledged yet. */
class PendingWrites {
  readonly #writes: Promise<void>[] = [];
  #failure: Error | null = null;

  /** Adds a write; waits where too many are pending. */
  async add(write: Promise<unknown>, done: (isStored: boolean) => void): Promise<void> {
    const settle = (error: Error | null) => {
      this.#failure ??= error;
      done(error === null);
    };
    this.#writes.push(
      write.then(
        () => settle(null),
        (error: Error) => settle(error),
      ),
    );
    if (this.#writes.length >= MOST_PENDING) await Promise.all(this.#writes.splice(0));
  }

  /** Waits for all; returns the first error. */
  async settled(): Promise<Error | null> {
    await Promise.all(this.#writes.splice(0));
    return this.#failure;
  }
}
