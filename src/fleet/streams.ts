// The buckets and the stream on the server, which `machined fleet setup` makes once.
import type { NatsConnection } from "@nats-io/transport-node";
import { EVENTS_STREAM, eventsSubject, HOSTS_BUCKET, MACHINES_BUCKET } from "./names.ts";
import { MOST_RECORD_BYTES } from "./record.ts";

/**
 * A host's record says that it is there; those of its machines, of which there are many more, are written again when something
 * changes, and otherwise this many times more seldom.
 */
export const MACHINE_TTLS = 10;
/** How long events stay in the stream. */
export const EVENTS_AGE_MS = 7 * 24 * 3600_000;
/** Within this time the server knows an event that it has already. */
const DUPLICATES_MS = 120_000;
const MOST_EVENT_BYTES = 64 << 10;

/** How the streams are kept. */
interface StreamWishes {
  readonly ttlMs: number;
  readonly replicas: number;
  /** Of the events, and of each bucket. */
  readonly mostBytes: number;
}

/** Makes what is missing, and changes what differs. Returns the names of the streams. */
export async function setUpStreams(nats: NatsConnection, wishes: StreamWishes): Promise<string[]> {
  const [{ Kvm }, { jetstreamManager }] = await Promise.all([import("@nats-io/kv"), import("@nats-io/jetstream")]);
  const { replicas, mostBytes } = wishes;
  const kvm = new Kvm(nats);
  const manager = await jetstreamManager(nats);
  const names: string[] = [];
  for (const bucket of [MACHINES_BUCKET, HOSTS_BUCKET]) {
    const ttlMs = bucket === HOSTS_BUCKET ? wishes.ttlMs : wishes.ttlMs * MACHINE_TTLS;
    const options = { ttl: ttlMs, history: 1, replicas, max_bytes: mostBytes, maxValueSize: MOST_RECORD_BYTES };
    await kvm.create(bucket, options);
    const stream = `KV_${bucket}`;
    // What is there already keeps its own limits until it is told these.
    await manager.streams.update(stream, {
      max_age: ttlMs * 1e6,
      duplicate_window: Math.min(ttlMs, DUPLICATES_MS) * 1e6,
      num_replicas: replicas,
      max_bytes: mostBytes,
    });
    names.push(stream);
  }
  const config = {
    name: EVENTS_STREAM,
    subjects: [eventsSubject(null)],
    max_age: EVENTS_AGE_MS * 1e6,
    max_bytes: mostBytes,
    max_msg_size: MOST_EVENT_BYTES,
    num_replicas: replicas,
    duplicate_window: DUPLICATES_MS * 1e6,
    allow_direct: true,
  };
  const known = await manager.streams.info(EVENTS_STREAM).catch(() => null);
  if (known === null) await manager.streams.add(config);
  else await manager.streams.update(EVENTS_STREAM, config);
  return [...names, EVENTS_STREAM];
}
