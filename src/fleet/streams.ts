// The buckets and the stream of the fleet, which `machined fleet setup` makes on the NATS server.
import type { NatsConnection } from "@nats-io/transport-node";
import { EVENTS_STREAM, eventsSubject, HOSTS_BUCKET, MACHINES_BUCKET } from "./names.ts";
import { MOST_RECORD_BYTES } from "./record.ts";

/**
 * How many times longer the record of a machine is valid than that of a host. The record of a host shows that its agent
 * runs; those of machines, of which there are many more, are written when they change, and otherwise more rarely by
 * this factor.
 */
export const MACHINE_TTLS = 10;
/** How long events stay in the stream. */
export const EVENTS_AGE_MS = 7 * 24 * 3600_000;
/** For how long the server detects an event that was sent twice. */
const DUPLICATES_MS = 120_000;
const MOST_EVENT_BYTES = 64 << 10;

/** The limits and the replication of the streams. */
interface StreamOptions {
  readonly ttlMs: number;
  readonly replicas: number;
  /** The limit of the stream of events, and of each bucket. */
  readonly mostBytes: number;
}

/** Makes missing buckets and streams, and changes the options of existing ones. Returns the names of the streams. */
export async function setUpStreams(nats: NatsConnection, options: StreamOptions): Promise<string[]> {
  const [{ Kvm }, { jetstreamManager }] = await Promise.all([import("@nats-io/kv"), import("@nats-io/jetstream")]);
  const { replicas, mostBytes } = options;
  const kvm = new Kvm(nats);
  const manager = await jetstreamManager(nats);
  const names: string[] = [];
  for (const bucket of [MACHINES_BUCKET, HOSTS_BUCKET]) {
    const ttlMs = bucket === HOSTS_BUCKET ? options.ttlMs : options.ttlMs * MACHINE_TTLS;
    const kept = { ttl: ttlMs, history: 1, replicas, max_bytes: mostBytes, maxValueSize: MOST_RECORD_BYTES };
    await kvm.create(bucket, kept);
    const stream = `KV_${bucket}`;
    // create() does not change the options of an existing bucket.
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
