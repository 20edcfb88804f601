// Reads the messages of a stream of the NATS server: those that are stored, or all from there on.
import type { JsMsg, PushConsumer } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/transport-node";
import { connectionEnded } from "./errors.ts";

/** The deadline for replies of the server itself. */
export const SERVER_MS = 5000;
/**
 * Messages that the server counted may expire before they are read: reading ends when none arrives for this long, and
 * the server answers meanwhile.
 */
const QUIET_MS = 1000;
/** After this time without a message, a reader of new ones asks whether the server still has its consumer. */
const CHECK_MS = 5000;
const CONSUMER_MS = 60_000;

/** Returns a new subject that only this client reads. */
export function inboxOf(nats: NatsConnection): string {
  const { options } = nats as unknown as { readonly options: { readonly inboxPrefix?: string } };
  return `${options.inboxPrefix ?? "_INBOX"}.${crypto.randomUUID().replaceAll("-", "")}`;
}

/** The server has lost a consumer before its last message: what was read is not complete. */
class ReadingStopped extends Error {
  override readonly name = "ReadingStopped";

  constructor(cause: unknown) {
    super("The server stopped sending", { cause });
  }
}

async function consumerOf(
  nats: NatsConnection,
  stream: string,
  start: object,
  timeoutMs: number,
): Promise<{ consumer: PushConsumer; pending: number }> {
  const { jetstream } = await import("@nats-io/jetstream");
  // The delivery subject begins with the prefix of this client's inboxes, so that permissions of the server can name
  // it.
  const consumer = await jetstream(nats, { timeout: timeoutMs }).consumers.getPushConsumer(stream, {
    ...start,
    deliver_prefix: inboxOf(nats),
    inactive_threshold: CONSUMER_MS,
  });
  return { consumer, pending: (await consumer.info(true)).num_pending };
}

/**
 * Yields the present messages of a stream that fit a filter, and perhaps some that are written meanwhile. Reading ends
 * with a message that none follows, or that is not older than the last one that the stream had before: the server's
 * number of messages that follow is wrong where records are written meanwhile, and may never be 0.
 *
 * Of `last_per_subject`, a record that is written meanwhile may be missing: its older message is no longer there, and
 * its new one comes after the end. Throws an error of NATS, ReadingStopped, or `connectionEnded()`.
 */
export async function* storedMessages(
  nats: NatsConnection,
  stream: string,
  start: object,
  timeoutMs = SERVER_MS,
): AsyncGenerator<JsMsg> {
  const { jetstreamManager } = await import("@nats-io/jetstream");
  const manager = await jetstreamManager(nats, { checkAPI: false, timeout: timeoutMs });
  const [{ state }, { consumer, pending }] = await Promise.all([
    manager.streams.info(stream),
    consumerOf(nats, stream, start, timeoutMs),
  ]);
  try {
    if (pending === 0) return;
    const messages = await consumer.consume();
    const timer = setTimeout(() => messages.stop(), QUIET_MS);
    try {
      for await (const message of messages) {
        timer.refresh();
        yield message;
        if (message.info.pending === 0 || message.seq >= state.last_seq) return;
      }
      if (nats.isClosed()) throw connectionEnded();
      await consumer.info().catch((error: unknown) => {
        throw new ReadingStopped(error);
      });
    } finally {
      clearTimeout(timer);
      messages.stop();
    }
  } finally {
    if (!nats.isClosed()) void consumer.delete().catch(() => {});
  }
}

/**
 * Yields the messages of a stream that fit a filter, also new ones, until the connection ends or the server has lost
 * the consumer, as it does when a server of a cluster fails: then throws `connectionEnded()`.
 */
export async function* followedMessages(nats: NatsConnection, stream: string, start: object): AsyncGenerator<JsMsg> {
  const { consumer } = await consumerOf(nats, stream, start, SERVER_MS);
  const messages = await consumer.consume();
  void nats.closed().then(() => messages.stop());
  const check = () => {
    consumer.info().then(
      () => timer.refresh(),
      () => messages.stop(),
    );
  };
  const timer = setTimeout(check, CHECK_MS);
  try {
    for await (const message of messages) {
      timer.refresh();
      yield message;
    }
    throw connectionEnded();
  } finally {
    clearTimeout(timer);
    messages.stop();
    if (!nats.isClosed()) void consumer.delete().catch(() => {});
  }
}
