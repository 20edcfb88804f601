// `machinectl --fleet events`: the stream of events of all hosts. After a lost connection, reading continues after the
// last event.

import { type EventStart, FleetClient, type FleetEvent } from "../../fleet/client.ts";
import { FleetError } from "../../fleet/errors.ts";
import { EVENTS_STREAM } from "../../fleet/names.ts";
import { EVENT_COLUMNS } from "../events/columns.ts";
import { eventLine, type SeenEvent, subjectOf } from "../events/event.ts";
import { endAt, NEVER_CONNECTED } from "../events/events.ts";
import { type EventForm, eventForm } from "../events/form.ts";
import { type WantedEvents, wantedEvents } from "../events/wanted.ts";
import { printsColumns } from "../list/print.ts";
import { Failure } from "../session/failure.ts";
import type { Session } from "../session/session.ts";
import { asFailure, chosenHosts, fleetSettings } from "./open.ts";

const RETRY_MS = 500;
const RETRY_LIMIT_MS = 10_000;

/** Returns the cursor of an event of the fleet: the creation time of the stream, and the number in it. */
export function formatFleetCursor(createdMs: number, sequence: number): string {
  return `${createdMs.toString(16)}-${sequence.toString(16)}`;
}

/** Parses a cursor. Throws a Failure for a text that is no cursor of the fleet. */
export function parseFleetCursor(text: string): { createdMs: number; sequence: number } {
  const [, created = "", sequence = ""] = /^([0-9a-f]{1,12})-([0-9a-f]{1,13})$/.exec(text) ?? [];
  if (sequence === "") throw new Failure(`'${text}' is no cursor of the fleet`);
  return { createdMs: Number.parseInt(created, 16), sequence: Number.parseInt(sequence, 16) };
}

/** What a run needs of the fleet. */
type FleetEvents = Pick<FleetClient, "streamState" | "events">;

/** One run of the verb: its position, and its filters. Exported for its test. */
export class Reader {
  readonly #session: Session;
  readonly #wanted: WantedEvents;
  readonly #form: EventForm;
  readonly #hosts: readonly string[] | null;
  /** The number of the event after which the next connection continues; null before the first one of --since=. */
  #last: number | null = null;
  #createdMs = 0;

  constructor(session: Session, wanted: WantedEvents, hosts: readonly string[] | null) {
    this.#session = session;
    this.#wanted = wanted;
    this.#form = eventForm(session);
    this.#hosts = hosts;
  }

  /** Whether reading has begun: after that, an error leads to a new connection and does not end the verb. */
  get hasBegun(): boolean {
    return this.#createdMs > 0;
  }

  /** Reads over one connection to the end, or until the connection is lost. */
  async read(fleet: FleetEvents): Promise<void> {
    const start = await this.#start(fleet);
    const { follows, untilUsec } = this.#wanted;
    const only = this.#hosts?.length === 1 ? (this.#hosts[0] ?? null) : null;
    for await (const event of fleet.events(only, start, follows)) {
      this.#last = event.sequence;
      // As --since=, by the clock of the server: a host whose clock is fast must not end the events of the others.
      if (untilUsec !== null && event.storedUsec > untilUsec) return;
      this.#print(event);
      if (this.#session.output.isOver) return;
    }
  }

  async #start(fleet: FleetEvents): Promise<EventStart> {
    const { sequence, first, createdMs } = await fleet.streamState(EVENTS_STREAM);
    const isSame = this.#createdMs === createdMs;
    const { cursor, sinceUsec } = this.#wanted;
    const given = this.#createdMs === 0 && cursor !== null ? parseFleetCursor(cursor) : null;
    const isOther = (this.hasBegun && !isSame) || (given !== null && given.createdMs !== createdMs);
    this.#createdMs = createdMs;
    if (isOther) {
      this.#session.report.warning("Earlier events are no longer known");
      this.#last = 0;
      return { kind: "after", sequence: 0 };
    }
    const behind = this.#last ?? given?.sequence ?? null;
    if (behind !== null) {
      this.#last = behind;
      if (behind + 1 < first) this.#session.report.warning(`${first - behind - 1} events were missed`);
      return { kind: "after", sequence: behind };
    }
    // From here on the position is known, so that no event is missed after a lost connection.
    this.#last = sinceUsec === null ? sequence : null;
    return sinceUsec === null ? { kind: "after", sequence } : { kind: "since", usec: sinceUsec };
  }

  #print({ host, sequence, fields }: FleetEvent): void {
    const type = String(fields["type"] ?? "");
    const event: SeenEvent = { ...(fields as SeenEvent), type, event: String(fields["event"] ?? "") };
    const { types } = this.#wanted;
    if (types !== null && type !== "log" && !types.includes(type)) return;
    if (this.#hosts !== null && !this.#hosts.includes(host)) return;
    const subject = subjectOf(event);
    if (!this.#wanted.isNamed(`${host}/${subject}`) && !this.#wanted.isNamed(subject)) return;
    const cursor = formatFleetCursor(this.#createdMs, sequence);
    const placed: SeenEvent = { host, ...event, cursor };
    if (!this.#form.passes(placed)) return;
    const line = () => `${host} | ${eventLine({ ...event, time: Number(fields["time"]) || 0 })}`;
    this.#session.output.write(this.#form.text(placed, line));
  }
}

async function readOnce(reader: Reader, session: Session): Promise<void> {
  const settings = await fleetSettings(session, session.settings.fleet ?? "");
  const fleet = await FleetClient.open(settings);
  try {
    await reader.read(fleet);
  } finally {
    await fleet.close();
  }
}

async function follow(reader: Reader, session: Session): Promise<null> {
  let waitMs = RETRY_MS;
  for (;;) {
    try {
      await readOnce(reader, session);
      return null;
    } catch (error) {
      if (!reader.hasBegun || !(error instanceof FleetError)) throw asFailure(error);
      await Bun.sleep(waitMs * (0.5 + Math.random()));
      waitMs = Math.min(waitMs * 2, RETRY_LIMIT_MS);
    }
  }
}

/** The verb `events`. */
export async function events(session: Session, words: readonly string[]): Promise<number> {
  if (printsColumns(session, EVENT_COLUMNS)) return 0;
  if (session.settings.log.lines !== null) {
    throw new Failure("With --fleet, the last events cannot be counted: use --since=");
  }
  const hosts = chosenHosts(session);
  const wanted = await wantedEvents(session, words);
  const reader = new Reader(session, wanted, hosts);
  const interrupt = session.ports.interrupted("or-reader-left");
  const { promise: over, resolve } = Promise.withResolvers<"over">();
  const end = () => resolve("over");
  // By the clock of this host: without an event after that time, that of the server is not known.
  const timer = wanted.follows ? endAt(wanted.untilUsec, Number(session.ports.nowUsec()), end) : null;
  try {
    const reason = await Promise.race([follow(reader, session), interrupt.promise, over]);
    if (reason === "over" && !reader.hasBegun) throw new Failure(NEVER_CONNECTED);
  } finally {
    if (timer !== null) clearTimeout(timer);
    interrupt.stop();
  }
  return 0;
}
