// What machinectl does over a NATS server: reads the buckets and the stream, and asks agents.
import type { JsMsg, PushConsumer } from "@nats-io/jetstream";
import type { Msg, NatsConnection } from "@nats-io/transport-node";
import { connectFleet, refusedSubject, shownUrls } from "./connect.ts";
import { answerError, askError, connectionEnded, fleetError } from "./errors.ts";
import {
  EVENTS_STREAM,
  eventsSubject,
  HOSTS_BUCKET,
  MACHINES_BUCKET,
  requestSubject,
  type Scope,
  tokenOf,
} from "./names.ts";
import { type HostRecord, livingMachines, type MachineRecord, readEvent, readHost, readMachine } from "./record.ts";
import { type FleetAnswer, readAnswer } from "./request.ts";
import type { FleetSettings } from "./settings.ts";

/** How long the server may take to answer itself. */
const SERVER_MS = 5000;
/** What the server counted may expire while it is read: when nothing comes for this long, there is no more. */
const QUIET_MS = 1000;
/** Up to this many hosts are read one by one; more are picked out of all. */
const FEW_HOSTS = 8;
const CONSUMER_MS = 60_000;

/** Where reading of events begins: behind a number, at a time (microseconds since 1970), or with the next one. */
export type EventStart =
  | { readonly kind: "after"; readonly sequence: number }
  | { readonly kind: "since"; readonly usec: number }
  | { readonly kind: "new" };

/** An event with its number in the stream. */
export interface FleetEvent {
  readonly sequence: number;
  readonly host: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

export class FleetClient {
  readonly nats: NatsConnection;

  private constructor(nats: NatsConnection) {
    this.nats = nats;
  }

  /** Connects; throws a FleetError or a SettingsError. */
  static async open(settings: FleetSettings): Promise<FleetClient> {
    try {
      return new FleetClient(await connectFleet(settings, "machinectl"));
    } catch (error) {
      if (error instanceof Error && error.name === "SettingsError") throw error;
      throw fleetError(`Cannot connect to the NATS server at ${shownUrls(settings)}`, error);
    }
  }

  close(): Promise<void> {
    return this.nats.close();
  }

  /** The machines of hosts, or of all (null), in no order. Throws a FleetError. */
  async machines(hosts: readonly string[] | null): Promise<MachineRecord[]> {
    if (hosts !== null && hosts.length <= FEW_HOSTS) {
      return (await Promise.all(hosts.map((host) => this.#machinesOf(host)))).flat();
    }
    const [machines, living] = await Promise.all([
      this.#records(MACHINES_BUCKET, ">", readMachine),
      this.#records(HOSTS_BUCKET, ">", readHost),
    ]);
    const wanted = hosts === null ? null : new Set(hosts);
    return livingMachines(machines, living).filter(({ host }) => wanted?.has(host) ?? true);
  }

  /** Record by record: to find those of one host, the server would look at the records of all. */
  async #machinesOf(host: string): Promise<MachineRecord[]> {
    const token = String(tokenOf(host));
    try {
      return await this.#machinesByName(token);
    } catch (error) {
      // A user who may make consumers, and not that.
      if (refusedSubject(error)?.startsWith("$JS.API.DIRECT.GET.") !== true) {
        throw fleetError("Cannot read the records of the fleet", error);
      }
    }
    const [machines, living] = await Promise.all([
      this.#records(MACHINES_BUCKET, `${token}.*`, readMachine),
      this.#records(HOSTS_BUCKET, token, readHost),
    ]);
    return livingMachines(machines, living);
  }

  async #machinesByName(token: string): Promise<MachineRecord[]> {
    const there = await this.#record(HOSTS_BUCKET, token, readHost);
    if (there === null) return [];
    if (there.names === null) {
      return livingMachines(await this.#records(MACHINES_BUCKET, `${token}.*`, readMachine), [there]);
    }
    const machines = [...new Set(there.names)].map(async (name) => {
      const key = tokenOf(name);
      return key === null ? null : this.#record(MACHINES_BUCKET, `${token}.${key}`, readMachine);
    });
    return livingMachines(
      (await Promise.all(machines)).filter((record) => record !== null),
      [there],
    );
  }

  async #record<T>(bucket: string, key: string, read: (key: string, text: string) => T | null): Promise<T | null> {
    const { jetstreamManager } = await import("@nats-io/jetstream");
    const manager = await jetstreamManager(this.nats, { checkAPI: false, timeout: SERVER_MS });
    const stored = await manager.direct.getMessage(`KV_${bucket}`, { last_by_subj: `$KV.${bucket}.${key}` });
    return stored === null || stored.header.get("KV-Operation") ? null : read(key, stored.string());
  }

  /** The hosts whose agents run. Throws a FleetError. */
  hosts(): Promise<HostRecord[]> {
    return this.#records(HOSTS_BUCKET, ">", readHost);
  }

  async #records<T>(bucket: string, filter: string, read: (key: string, text: string) => T | null): Promise<T[]> {
    const prefix = `$KV.${bucket}.`;
    const found = new Map<string, T>();
    try {
      const start = { filter_subject: prefix + filter, deliver_policy: "last_per_subject" };
      for await (const message of this.#stored(`KV_${bucket}`, start)) {
        const key = message.subject.slice(prefix.length);
        const record = message.headers?.get("KV-Operation") ? null : read(key, message.string());
        // What is written again while it is read comes once more.
        if (record === null) found.delete(key);
        else found.set(key, record);
      }
    } catch (error) {
      throw fleetError("Cannot read the records of the fleet", error);
    }
    return [...found.values()];
  }

  async #consumer(stream: string, start: object): Promise<{ consumer: PushConsumer; pending: number }> {
    const { jetstream } = await import("@nats-io/jetstream");
    // Of the names and reply subjects, permissions can be made: those of this client begin as its inboxes do.
    const consumer = await jetstream(this.nats, { timeout: SERVER_MS }).consumers.getPushConsumer(stream, {
      ...start,
      deliver_prefix: this.inbox(),
      inactive_threshold: CONSUMER_MS,
    });
    return { consumer, pending: (await consumer.info(true)).num_pending };
  }

  /** A subject that only this client reads. */
  inbox(): string {
    const { options } = this.nats as unknown as { readonly options: { readonly inboxPrefix?: string } };
    return `${options.inboxPrefix ?? "_INBOX"}.${crypto.randomUUID().replaceAll("-", "")}`;
  }

  /**
   * What a stream has now, of a filter. The server says with each message how many are left; a record that is written again meanwhile
   * moves behind all others, so that a number to stop at would leave it out.
   */
  async *#stored(stream: string, start: object): AsyncGenerator<JsMsg> {
    const { consumer, pending } = await this.#consumer(stream, start);
    try {
      if (pending === 0) return;
      const messages = await consumer.consume();
      const timer = setTimeout(() => messages.stop(), QUIET_MS);
      try {
        for await (const message of messages) {
          timer.refresh();
          yield message;
          if (message.info.pending === 0) return;
        }
      } finally {
        clearTimeout(timer);
        messages.stop();
      }
    } finally {
      await consumer.delete().catch(() => {});
    }
  }

  /** The number of the last message of a stream, and when the stream was made, in milliseconds since 1970. Throws an error of NATS. */
  async streamState(stream: string = EVENTS_STREAM): Promise<{ sequence: number; first: number; createdMs: number }> {
    const { jetstreamManager } = await import("@nats-io/jetstream");
    const manager = await jetstreamManager(this.nats, { checkAPI: false, timeout: SERVER_MS });
    const { state, created } = await manager.streams.info(stream);
    return { sequence: state.last_seq, first: state.first_seq, createdMs: Date.parse(created) };
  }

  /** Events of a host, or of all (null): those that are there, and with `follows` those that come. Throws a FleetError. */
  async *events(host: string | null, start: EventStart, follows: boolean): AsyncGenerator<FleetEvent> {
    const options = { filter_subject: eventsSubject(host), ...startOptions(start) };
    try {
      const messages = follows ? this.#following(options) : this.#stored(EVENTS_STREAM, options);
      for await (const message of messages) {
        const event = eventOf(message);
        if (event !== null) yield event;
      }
    } catch (error) {
      throw fleetError("Cannot read the events of the fleet", error);
    }
  }

  async *#following(start: object): AsyncGenerator<JsMsg> {
    const { consumer } = await this.#consumer(EVENTS_STREAM, start);
    const messages = await consumer.consume();
    void this.nats.closed().then(() => messages.stop());
    try {
      yield* messages;
      throw connectionEnded();
    } finally {
      messages.stop();
      if (!this.nats.isClosed()) await consumer.delete().catch(() => {});
    }
  }

  /** The first message of this client that the server refused; never resolves where there is none. */
  async refused(): Promise<Error> {
    for await (const status of this.nats.status()) {
      if (status.type === "error" && refusedSubject(status.error) !== null) return status.error;
    }
    return new Promise(() => {});
  }

  /** Asks the agent of a host. Throws a FleetError where there is none, or it may not be asked. */
  async ask(host: string, scope: Scope, verb: string, body: object, timeoutMs: number): Promise<FleetAnswer> {
    let reply: Msg;
    try {
      reply = await this.nats.request(requestSubject(host, scope, verb), JSON.stringify(body), { timeout: timeoutMs });
    } catch (error) {
      throw askError(host, error, timeoutMs);
    }
    const answer = readAnswer(reply.string());
    if (answer === null) throw answerError(host);
    return answer;
  }
}

function startOptions(start: EventStart): object {
  if (start.kind === "new") return { deliver_policy: "new" };
  if (start.kind === "after") return { opt_start_seq: start.sequence + 1 };
  return { opt_start_time: new Date(Math.max(start.usec / 1000, 0)).toISOString() };
}

function eventOf(message: JsMsg): FleetEvent | null {
  const [, , token = ""] = message.subject.split(".");
  const fields = readEvent(token, message.string());
  return fields === null ? null : { sequence: message.seq, host: fields.host, fields };
}
