// The agent of a host: keeps a connection to the server, and over each connection writes records, publishes events and
// answers requests. It has no state between two connections; the local daemon's log has the events meanwhile.
import type { NatsConnection } from "@nats-io/transport-node";
import type { Log } from "../base/log.ts";
import { connectFleet, refusedSubject } from "../fleet/connect.ts";
import type { HostRecord } from "../fleet/record.ts";
import { type FleetSettings, SettingsError } from "../fleet/settings.ts";
import { RecordClock } from "./clock.ts";
import { EventPublisher } from "./events.ts";
import { listLocalMachines } from "./local-machines.ts";
import { RecordWriter } from "./records.ts";
import { RequestServer } from "./requests.ts";
import type { EventGap } from "./sent-events.ts";

/**
 * The shortest and the longest pause between two attempts to connect. It doubles with each attempt, and varies at
 * random.
 */
const RETRY_MS = 500;
const RETRY_LIMIT_MS = 30_000;
/** A connection that lasted this long resets the pause. */
const GOOD_MS = 10_000;
/** Types of events after which the list of machines may have changed. */
const CHANGING = ["machine", "address"];

interface AgentFacts {
  readonly host: string;
  readonly bootId: string;
  readonly version: string;
}

/** Returns the reason of an error of NATS in one line. */
export function natsReason(error: unknown): string {
  const subject = refusedSubject(error);
  if (subject !== null)
    return `The NATS server does not permit this user to use '${subject}': see the permissions in its configuration`;
  const { name, message } = error as Error;
  if (name === "JetStreamNotEnabled" || /no responders/i.test(message))
    return "The NATS server has no buckets and streams of machined, or no server of the cluster leads them at the moment: 'machined fleet setup' makes them, where JetStream is enabled";
  if (name === "AuthorizationError")
    return `The NATS server refuses the login of this host (${message}): check User= and PasswordFile=, or CredentialsFile=`;
  return message;
}

export class Agent {
  readonly #settings: FleetSettings;
  readonly #facts: AgentFacts;
  readonly #log: Log;
  readonly #stopped = Promise.withResolvers<void>();
  #isStopped = false;
  #lastReason = "";
  /** Whether this host has its record over the present connection. */
  #isThere = false;
  /** Which events the server lacks, for the next connection. */
  readonly #gap: EventGap = { resume: null };
  readonly #clock = new RecordClock();

  constructor(settings: FleetSettings, facts: AgentFacts, log: Log) {
    this.#settings = settings;
    this.#facts = facts;
    this.#log = log;
  }

  stop(): void {
    this.#isStopped = true;
    this.#stopped.resolve();
  }

  /** Runs until `stop()`. Throws a SettingsError for files that cannot be read at the start. */
  async run(): Promise<void> {
    let waitMs = RETRY_MS;
    let isFirst = true;
    while (!this.#isStopped) {
      const began = performance.now();
      try {
        await this.#session();
      } catch (error) {
        if (isFirst && error instanceof SettingsError) throw error;
        this.#tell(natsReason(error));
      }
      isFirst = false;
      if (performance.now() - began > GOOD_MS) waitMs = RETRY_MS;
      // Random, so that thousands of agents that lost one server do not reconnect at the same moment.
      await Promise.race([this.#stopped.promise, Bun.sleep(waitMs * (0.5 + Math.random()))]);
      waitMs = Math.min(waitMs * 2, RETRY_LIMIT_MS);
    }
  }

  /** Logs why there is no connection, once for each reason. */
  #tell(reason: string): void {
    if (reason === this.#lastReason || this.#isStopped) return;
    this.#lastReason = reason;
    this.#log.warning(`Not in the fleet: ${reason}; trying again`);
  }

  /** Runs one connection to its end. */
  async #session(): Promise<void> {
    const { host } = this.#facts;
    this.#isThere = false;
    const nats = await connectFleet(this.#settings, `machined ${host}`);
    const records = new RecordWriter(nats, this, this.#settings.ttlMs, this.#log);
    const events = new EventPublisher(nats, {
      ...this.#facts,
      log: this.#log,
      gap: this.#gap,
      seen: ({ type }) => {
        if (CHANGING.includes(String(type))) records.soon();
      },
    });
    const requests = new RequestServer(nats, { host, allow: this.#settings.allow, log: this.#log });
    try {
      await this.#until(nats, [records.run(), events.run(), requests.run()]);
    } finally {
      records.close();
      events.close();
      requests.close();
      await nats.close();
    }
  }

  /** Waits for the first end or fault of the parts, for the end of the connection, or for `stop()`. */
  async #until(nats: NatsConnection, parts: readonly Promise<void>[]): Promise<void> {
    const closed = nats.closed().then((error) => {
      throw error instanceof Error ? error : new Error("The connection to the NATS server was lost");
    });
    for (const part of [...parts, closed]) part.catch(() => {});
    await Promise.race([this.#stopped.promise, closed, ...parts, this.#refusal(nats)]);
  }

  /** Rejects when the server refuses a message for which no reply is awaited. */
  async #refusal(nats: NatsConnection): Promise<void> {
    for await (const status of nats.status()) {
      if (status.type !== "error") continue;
      // A late answer is refused, because the permission to answer has expired: the connection continues.
      const subject = refusedSubject(status.error);
      if (subject !== null && !subject.startsWith("_INBOX")) throw status.error;
    }
    await this.#stopped.promise;
  }

  usec(): number {
    return this.#clock.usec();
  }

  written(): void {
    if (!this.#isThere && !this.#isStopped) this.#log.info(`In the fleet as '${this.#facts.host}'`);
    this.#isThere = true;
    this.#lastReason = "";
  }

  refused(error: Error, isThere: boolean): void {
    if (!isThere) {
      this.#tell(natsReason(error));
      return;
    }
    const text = `The NATS server does not take the records of this host at the moment (${error.message}); trying again`;
    if (this.#lastReason !== text) this.#log.warning(text);
    this.#lastReason = text;
  }

  /** Returns the present machines. */
  machines() {
    return listLocalMachines(this.#facts.host);
  }

  get hostName(): string {
    return this.#facts.host;
  }

  host(names: readonly string[]): Omit<HostRecord, "since"> {
    const { host, bootId, version: agent } = this.#facts;
    const { allow } = this.#settings;
    return { host, bootId, agent, machines: names.length, names, allow, time: this.usec() };
  }
}
