// The client of the fleet: reads the buckets and the stream of the NATS server, and sends requests to agents.
import type { JsMsg } from "@nats-io/jetstream";
import type { Msg, NatsConnection } from "@nats-io/transport-node";
import { connectFleet, refusedSubject, shownUrls } from "./connect.ts";
import { followedMessages, inboxOf, SERVER_MS, storedMessages } from "./consume.ts";
import {
  answerError,
  askError,
  connectionEnded,
  FleetError,
  fleetError,
  isPassing,
  isPassingForStream,
  LostConnection,
} from "./errors.ts";
import {
  EVENTS_STREAM,
  eventsSubject,
  HOSTS_BUCKET,
  MACHINES_BUCKET,
  requestSubject,
  type Scope,
  tokenOf,
} from "./names.ts";
import {
  type HostRecord,
  livingMachines,
  type MachineRecord,
  missingMachines,
  readEvent,
  readHost,
  readMachine,
} from "./record.ts";
import { type FleetAnswer, readAnswer } from "./request.ts";
import type { FleetSettings } from "./settings.ts";

/** The records of up to this many hosts are read one by one; for more hosts, all records are read and filtered. */
const FEW_HOSTS = 8;

/** How long reading is tried again after errors that may pass: a cluster chooses another leader meanwhile. */
const PATIENCE_MS = 30_000;
/**
 * The deadline of the first request for a consumer: a cluster may give it to a server that has failed, and the next
 * request to another one.
 */
const FIRST_MS = 2000;
/**
 * How long a host that has a record is asked again when no agent answers: the agent may be connecting to another
 * server.
 */
const AGENT_PATIENCE_MS = 10_000;
/** How long machines that their host names are looked for again: a server of a cluster may lag behind the others. */
const MISSING_PATIENCE_MS = 5000;
const PAUSE_MS = 250;

/**
 * Where reading of events begins: after a sequence number, at a time (microseconds since 1970), or with the next event.
 */
export type EventStart =
  | { readonly kind: "after"; readonly sequence: number }
  | { readonly kind: "since"; readonly usec: number }
  | { readonly kind: "new" };

/** The machines of hosts. */
interface FleetMachines {
  readonly machines: readonly MachineRecord[];
  /** The hosts that name machines whose records are not on the server, and how many. */
  readonly incomplete: readonly { readonly host: string; readonly missing: number }[];
}

/** The records of hosts, and those of machines that were written over the present connections of their agents. */
interface Records {
  readonly hosts: readonly HostRecord[];
  readonly machines: readonly MachineRecord[];
}

/** An event with its number in the stream. */
export interface FleetEvent {
  readonly sequence: number;
  readonly host: string;
  /** When the server stored it, µs since 1970: the clocks of hosts may differ. */
  readonly storedUsec: number;
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
      const { message, hint, cause } = fleetError(`Cannot connect to the NATS server at ${shownUrls(settings)}`, error);
      throw new LostConnection(message, { cause, hint });
    }
  }

  close(): Promise<void> {
    return this.nats.close();
  }

  /** Returns the machines of the given hosts, or of all (null), in no order. Throws a FleetError. */
  async machines(hosts: readonly string[] | null): Promise<FleetMachines> {
    if (hosts !== null && hosts.length <= FEW_HOSTS) {
      const each = await Promise.all(hosts.map((host) => this.#whole(() => this.#recordsOf(host))));
      return {
        machines: each.flatMap(({ machines }) => machines),
        incomplete: each.flatMap(({ incomplete }) => incomplete),
      };
    }
    const wanted = hosts === null ? null : new Set(hosts);
    return this.#whole(async () => {
      const all = await this.#readAll(">", ">");
      const isWanted = ({ host }: { host: string }) => wanted?.has(host) ?? true;
      return { hosts: all.hosts.filter(isWanted), machines: all.machines.filter(isWanted) };
    });
  }

  /** Reads until no machine is missing, for MISSING_PATIENCE_MS at most. */
  async #whole(read: () => Promise<Records>): Promise<FleetMachines> {
    const end = performance.now() + MISSING_PATIENCE_MS;
    for (;;) {
      const { hosts, machines } = await read();
      const incomplete = missingMachines(machines, hosts);
      if (incomplete.length === 0 || performance.now() > end) return { machines, incomplete };
      await Bun.sleep(PAUSE_MS);
    }
  }

  /**
   * Reads the records that fit filters. The record of a host is written after those of its machines, and read before
   * them: an agent that connects again meanwhile makes the older records of its machines invalid.
   */
  async #readAll(hostFilter: string, machineFilter: string): Promise<Records> {
    const hosts = await this.#hostRecords(hostFilter);
    const machines = await this.#records(MACHINES_BUCKET, machineFilter, readMachine);
    return { hosts, machines: livingMachines(present(machines), hosts) };
  }

  /** Reads the records of a host by their keys: with a filter, the server would search the records of all hosts. */
  #recordsOf(host: string): Promise<Records> {
    const token = String(tokenOf(host));
    return this.#byKey(
      () => this.#recordsByName(token),
      () => this.#readAll(token, `${token}.*`),
    );
  }

  /**
   * Reads records by their keys; for a user of NATS who may make consumers, but may not read single records, by a
   * filter.
   */
  async #byKey<T>(read: () => Promise<T>, filtered: () => Promise<T>): Promise<T> {
    try {
      return await this.#patiently(read);
    } catch (error) {
      if (error instanceof FleetError) throw error;
      if (refusedSubject(error)?.startsWith("$JS.API.DIRECT.GET.") !== true) {
        throw fleetError("Cannot read the records of the fleet", error);
      }
    }
    return filtered();
  }

  async #recordsByName(token: string): Promise<Records> {
    const there = await this.#record(HOSTS_BUCKET, token, readHost);
    if (there === null) return { hosts: [], machines: [] };
    const { names } = there;
    const machines =
      names === null
        ? present(await this.#records(MACHINES_BUCKET, `${token}.*`, readMachine))
        : await Promise.all([...new Set(names)].map((name) => this.#machine(token, name)));
    const known = machines.filter((record) => record !== null);
    return { hosts: [there], machines: livingMachines(known, [there]) };
  }

  async #machine(hostToken: string, name: string): Promise<MachineRecord | null> {
    const token = tokenOf(name);
    return token === null ? null : this.#record(MACHINES_BUCKET, `${hostToken}.${token}`, readMachine);
  }

  async #record<T>(bucket: string, key: string, read: (key: string, text: string) => T | null): Promise<T | null> {
    const manager = await this.#manager();
    const stored = await manager.direct.getMessage(`KV_${bucket}`, { last_by_subj: `$KV.${bucket}.${key}` });
    return stored === null || stored.header.get("KV-Operation") ? null : read(key, stored.string());
  }

  /** Returns the hosts whose agents run. Throws a FleetError. */
  hosts(): Promise<HostRecord[]> {
    return this.#hostRecords(">");
  }

  /**
   * Reads the records of hosts. The names of the present ones are asked for afterwards, and what was missed because its
   * agent wrote it meanwhile is read alone. Machines that are missed are noticed by the names in their host's record.
   */
  async #hostRecords(filter: string): Promise<HostRecord[]> {
    const seen = await this.#records(HOSTS_BUCKET, filter, readHost);
    const missed = (await this.#keys(HOSTS_BUCKET, filter)).filter((key) => !seen.has(key));
    const more = missed.map((key) =>
      this.#byKey(
        () => this.#record(HOSTS_BUCKET, key, readHost),
        async () => present(await this.#records(HOSTS_BUCKET, key, readHost))[0] ?? null,
      ),
    );
    return [...present(seen), ...(await Promise.all(more)).filter((record) => record !== null)];
  }

  /** Returns the interface for questions about streams. */
  async #manager() {
    const { jetstreamManager } = await import("@nats-io/jetstream");
    return jetstreamManager(this.nats, { checkAPI: false, timeout: SERVER_MS });
  }

  /** Returns the keys of a bucket that fit a filter. */
  async #keys(bucket: string, filter: string): Promise<string[]> {
    const prefix = `$KV.${bucket}.`;
    const manager = await this.#manager();
    const options = { subjects_filter: prefix + filter };
    return this.#reading(async () => {
      const { state } = await manager.streams.info(`KV_${bucket}`, options);
      return Object.keys(state.subjects ?? {}).map((subject) => subject.slice(prefix.length));
    });
  }

  /** Reads the records that fit a filter. Returns them by their keys; invalid and deleted ones are null. */
  #records<T>(
    bucket: string,
    filter: string,
    read: (key: string, text: string) => T | null,
  ): Promise<Map<string, T | null>> {
    return this.#reading((timeoutMs) => this.#readRecords({ bucket, filter, timeoutMs }, read));
  }

  /** Reads patiently; throws a FleetError. */
  async #reading<T>(read: (timeoutMs: number) => Promise<T>): Promise<T> {
    try {
      return await this.#patiently(read);
    } catch (error) {
      throw fleetError("Cannot read the records of the fleet", error);
    }
  }

  async #readRecords<T>(
    { bucket, filter, timeoutMs }: { bucket: string; filter: string; timeoutMs: number },
    read: (key: string, text: string) => T | null,
  ): Promise<Map<string, T | null>> {
    const prefix = `$KV.${bucket}.`;
    const found = new Map<string, T | null>();
    const start = { filter_subject: prefix + filter, deliver_policy: "last_per_subject" };
    for await (const message of storedMessages(this.nats, `KV_${bucket}`, start, timeoutMs)) {
      const key = message.subject.slice(prefix.length);
      // A record that is written while it is read may arrive again.
      found.set(key, message.headers?.get("KV-Operation") ? null : read(key, message.string()));
    }
    return found;
  }

  /** Reads again after errors that may pass. Throws a LostConnection where the connection has ended. */
  async #patiently<T>(read: (timeoutMs: number) => Promise<T>): Promise<T> {
    const end = performance.now() + PATIENCE_MS;
    for (let timeoutMs = FIRST_MS; ; timeoutMs = SERVER_MS) {
      try {
        return await read(timeoutMs);
      } catch (error) {
        if (this.nats.isClosed()) throw connectionEnded();
        if (!isPassing(error) || performance.now() > end) throw error;
      }
      await Bun.sleep(PAUSE_MS);
    }
  }

  /** Returns a new subject that only this client reads. */
  inbox(): string {
    return inboxOf(this.nats);
  }

  /**
   * Returns the first and last sequence number of a stream, and its creation time in milliseconds since 1970. Throws a
   * FleetError.
   */
  async streamState(stream: string = EVENTS_STREAM): Promise<{ sequence: number; first: number; createdMs: number }> {
    try {
      const manager = await this.#manager();
      const { state, created } = await this.#patiently(() => manager.streams.info(stream));
      return { sequence: state.last_seq, first: state.first_seq, createdMs: Date.parse(created) };
    } catch (error) {
      throw fleetError("Cannot read the events of the fleet", error);
    }
  }

  /**
   * Yields the events of a host, or of all (null): the stored ones, and with `follows` also new ones. Throws a
   * FleetError.
   */
  async *events(host: string | null, start: EventStart, follows: boolean): AsyncGenerator<FleetEvent> {
    const options = { filter_subject: eventsSubject(host), ...startOptions(start) };
    try {
      const messages = (follows ? followedMessages : storedMessages)(this.nats, EVENTS_STREAM, options);
      for await (const message of messages) {
        const event = eventOf(message);
        if (event !== null) yield event;
      }
    } catch (error) {
      throw fleetError("Cannot read the events of the fleet", error);
    }
  }

  /**
   * Resolves with the error of the first message of this client that the server refused; never where it refuses none.
   */
  async refused(): Promise<Error> {
    for await (const status of this.nats.status()) {
      if (status.type === "error" && refusedSubject(status.error) !== null) return status.error;
    }
    return new Promise(() => {});
  }

  /**
   * Sends a request to the agent of a host, and returns its answer. Throws a FleetError where there is no agent or no
   * permission. A host that has a record is expected to have an agent again within `patienceMs`.
   */
  async ask(
    host: string,
    scope: Scope,
    verb: string,
    body: object,
    timeoutMs: number,
    patienceMs = AGENT_PATIENCE_MS,
  ): Promise<FleetAnswer> {
    const end = performance.now() + patienceMs;
    let reply: Msg | null = null;
    while (reply === null) {
      try {
        reply = await this.nats.request(requestSubject(host, scope, verb), JSON.stringify(body), {
          timeout: timeoutMs,
        });
      } catch (error) {
        if (this.nats.isClosed()) throw connectionEnded();
        const isAbsent = error instanceof Error && /no responders/i.test(error.message);
        if (!isAbsent || performance.now() > end || !(await this.#isExpected(host))) {
          throw askError(host, error, timeoutMs);
        }
        await Bun.sleep(PAUSE_MS);
      }
    }
    const answer = readAnswer(reply.string());
    if (answer === null) throw answerError(host);
    return answer;
  }

  /**
   * Whether the host has a record: then its agent is there, or was there shortly before. While no server can tell, it
   * may have one.
   */
  async #isExpected(host: string): Promise<boolean> {
    try {
      return (await this.#record(HOSTS_BUCKET, String(tokenOf(host)), readHost)) !== null;
    } catch (error) {
      return isPassingForStream(error);
    }
  }
}

/** Returns the records that are valid. */
function present<T>(records: ReadonlyMap<string, T | null>): T[] {
  return [...records.values()].filter((record) => record !== null);
}

/** The server counts nanoseconds in 64 bits, which end in 2262: a later time would be one long ago. */
const LATEST_MS = Date.UTC(2262, 0, 1);

function startOptions(start: EventStart): object {
  if (start.kind === "new") return { deliver_policy: "new" };
  if (start.kind === "after") return { opt_start_seq: start.sequence + 1 };
  return { opt_start_time: new Date(Math.min(Math.max(start.usec / 1000, 0), LATEST_MS)).toISOString() };
}

/** Returns the event of a message, or null. */
function eventOf(message: JsMsg): FleetEvent | null {
  const [, , token = ""] = message.subject.split(".");
  const fields = readEvent(token, message.string());
  if (fields === null) return null;
  const storedUsec = Math.floor(message.info.timestampNanos / 1000);
  return { sequence: message.seq, host: fields.host, storedUsec, fields };
}
