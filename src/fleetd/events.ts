// Publishes the events of the local daemon's log. The server knows the last published event: after a restart or a lost
// connection, the publisher asks it for the last event of this host and continues after that. So it stores nothing
// itself.
import type { JetStreamClient } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/transport-node";
import type { Log } from "../base/log.ts";
import { EVENT_TYPES } from "../base/vocabulary/event.ts";
import { isPassingForStream } from "../fleet/errors.ts";
import { EVENTS_STREAM, eventSubject } from "../fleet/names.ts";
import { EVENTS_AGE_MS } from "../fleet/streams.ts";
import { type VarlinkClient, VarlinkError } from "../ipc/varlink/client.ts";
import { connectPlainVarlink } from "../ipc/varlink/plain.ts";
import { managerSocket } from "./local-machines.ts";
import { type EventGap, SentEvents } from "./sent-events.ts";

/** The limit of events that the server has not acknowledged yet. */
const MOST_PENDING = 64;
const ACK_MS = 5000;
/** The pause before the publisher connects again to a local daemon that does not run. */
const RETRY_MS = 1000;
const NO_LOG = ["org.varlink.service.MethodNotFound", "org.varlink.service.InterfaceNotFound"];
const NO_SUCH_CURSOR = "org.varlink.service.InvalidParameter";

const NONE: ReadonlySet<string> = new Set();

type Event = Readonly<Record<string, unknown>>;

/** Returns the id of an event, by which the server detects one that it has already. */
export function messageId(bootId: string, event: Event): string {
  const mark = event["type"] === "log" ? `-${String(event["event"])}` : "";
  return `${bootId}-${String(event["cursor"])}${mark}`;
}

/** Whether an event is published: events about the reading itself are not, except `missed`. */
export function isPublished(event: Event, nowMs: number): boolean {
  if (event["type"] === "log") return event["event"] === "missed";
  // Events that the server would have expired already are not published.
  return typeof event["time"] === "number" && event["time"] / 1000 > nowMs - EVENTS_AGE_MS;
}

/** Returns the cursor of the server's last event of this host; null for none. Throws an error of NATS. */
async function lastCursor(nats: NatsConnection, host: string): Promise<string | null> {
  const asked = EVENT_TYPES.values.map(async (type) => {
    const subject = `$JS.API.DIRECT.GET.${EVENTS_STREAM}.${eventSubject(host, type)}`;
    const reply = await nats.request(subject, "", { timeout: ACK_MS });
    if (reply.headers?.code === 404) return null;
    const sequence = Number(reply.headers?.get("Nats-Sequence"));
    const { cursor } = reply.json() as { cursor?: unknown };
    return Number.isFinite(sequence) && typeof cursor === "string" ? { sequence, cursor } : null;
  });
  const found = (await Promise.all(asked)).filter((one) => one !== null);
  return found.sort((a, b) => b.sequence - a.sequence)[0]?.cursor ?? null;
}

interface EventTarget {
  readonly host: string;
  readonly bootId: string;
  readonly log: Log;
  readonly gap: EventGap;
  /** Called for each event of the log, before it is published. */
  readonly seen: (event: Event) => void;
}

/** The publisher of one connection. */
export class EventPublisher {
  readonly #nats: NatsConnection;
  readonly #target: EventTarget;
  #varlink: VarlinkClient | null = null;
  #stop = Promise.withResolvers<void>();
  #isClosed = false;
  #failure: Error | null = null;
  #isTold = false;

  constructor(nats: NatsConnection, target: EventTarget) {
    this.#nats = nats;
    this.#target = target;
  }

  close(): void {
    this.#isClosed = true;
    this.#varlink?.close();
    this.#stop.resolve();
  }

  /**
   * Publishes until `close()`; throws where the server refuses an event. Where that may pass, publishing continues over
   * the same connection.
   */
  async run(): Promise<void> {
    const { jetstream } = await import("@nats-io/jetstream");
    const stream = jetstream(this.#nats);
    let isForgotten = false;
    while (!this.#isClosed) {
      try {
        await this.#follow(stream, isForgotten);
      } catch (error) {
        if (this.#isClosed) return;
        if (this.#failure !== null) this.#requirePassing();
        if (error instanceof VarlinkError && NO_LOG.includes(error.id)) return await this.#withoutLog();
        isForgotten = error instanceof VarlinkError && error.id === NO_SUCH_CURSOR && !isForgotten;
        if (!isForgotten) this.#target.log.debug(`Cannot read events of the local daemon: ${(error as Error).message}`);
      }
      await Promise.race([this.#stop.promise, Bun.sleep(RETRY_MS)]);
    }
  }

  /** Forgets a failure that may pass; throws any other. */
  #requirePassing(): void {
    const failure = this.#failure;
    this.#failure = null;
    if (failure === null) return;
    if (this.#nats.isClosed() || !isPassingForStream(failure)) throw failure;
    const text = `The NATS server does not take events at the moment: ${failure.message}; trying again`;
    if (!this.#isTold) this.#target.log.warning(text);
    this.#isTold = true;
  }

  #withoutLog(): Promise<void> {
    this.#target.log.info("The local daemon keeps no log of events: none are published");
    return this.#stop.promise;
  }

  /** Asks the server for the last published event. */
  async #cursor(): Promise<string | null> {
    try {
      return await lastCursor(this.#nats, this.#target.host);
    } catch (error) {
      this.#failure ??= error as Error;
      throw error;
    }
  }

  /** Follows the log of the local daemon; asks the server where to begin only if there is a log. */
  async #follow(stream: JetStreamClient, isForgotten: boolean): Promise<void> {
    this.#varlink = await connectPlainVarlink(managerSocket());
    const { gap, bootId } = this.#target;
    const pending: Promise<unknown>[] = [];
    let sent: SentEvents | null = null;
    try {
      const resume = isForgotten ? { cursor: null, stored: gap.resume?.stored ?? NONE } : gap.resume;
      const cursor = resume === null ? await this.#cursor() : resume.cursor;
      if (this.#isClosed) return;
      sent = new SentEvents(cursor, resume?.stored ?? NONE);
      const parameters = cursor === null ? { sinceUSec: 0 } : { cursor };
      for await (const event of this.#varlink.callMore("io.machined.Events.Subscribe", parameters)) {
        if (this.#failure !== null) throw this.#failure;
        this.#target.seen(event);
        const [id, at] = [messageId(bootId, event), String(event["cursor"])];
        if (!isPublished(event, Date.now()) || sent.has(id, at)) continue;
        pending.push(this.#publish(stream, event, id, sent.add(id, at)));
        if (pending.length >= MOST_PENDING) await Promise.all(pending.splice(0));
      }
    } finally {
      this.#varlink.close();
      await Promise.all(pending);
      if (sent !== null) gap.resume = sent.resume;
    }
  }

  /**
   * Publishes an event. The first one that the server refuses ends the reading, so that events stay in their order.
   */
  async #publish(stream: JetStreamClient, event: Event, id: string, stored: () => void): Promise<void> {
    const { host } = this.#target;
    try {
      const subject = eventSubject(host, String(event["type"]));
      const text = JSON.stringify({ ...event, host });
      await stream.publish(subject, text, { msgID: id, timeout: ACK_MS });
      stored();
      this.#isTold = false;
    } catch (error) {
      this.#failure ??= error as Error;
      this.#varlink?.close();
    }
  }
}
