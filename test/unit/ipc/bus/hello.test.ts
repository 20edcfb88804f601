// A broker that refuses Hello, or never answers it, and keeps the connection open.
import { expect, test } from "bun:test";
import { BusClient } from "../../../../src/ipc/bus/client.ts";
import { ServerHandshake } from "../../../../src/ipc/bus/handshake.ts";
import { BusStream, type Incoming } from "../../../../src/ipc/bus/stream.ts";
import { streamOn } from "../../../../src/kernel/socket/stream.ts";
import { socketPair } from "../../../../src/kernel/socket/unix.ts";

const LIMITS = "org.freedesktop.DBus.Error.LimitsExceeded";

/** Opens a client of a broker that reacts to Hello so; returns what open() throws. */
async function failureOf(hello: (broker: BusStream, message: Incoming) => void): Promise<Error> {
  const [ours, theirs] = socketPair();
  const ended = Promise.withResolvers<void>();
  const broker: BusStream = new BusStream(
    streamOn(theirs),
    { message: (message) => hello(broker, message), end: () => ended.resolve() },
    { handshake: new ServerHandshake(process.geteuid?.() ?? 0, "00") },
  );
  const failure = await BusClient.open(ours, { readyTimeoutMs: 100 }).then(
    () => new Error("it was opened"),
    (error: Error) => error,
  );
  // The client has closed its end: the broker has not.
  await ended.promise;
  return failure;
}

test("a refused Hello is the error of the connection, with the name and the text of the broker", async () => {
  const failure = await failureOf((broker, { serial, member }) => {
    if (member !== "Hello") return;
    const text = "The maximum number of active connections for UID 0 has been reached";
    const head = { type: 3, serial: 1, replySerial: serial, errorName: LIMITS };
    broker.send({ ...head, signature: "s", body: [text] } as never);
  });
  expect(failure).toMatchObject({
    errorName: LIMITS,
    message: "The maximum number of active connections for UID 0 has been reached",
  });
});

test("a broker that does not answer Hello is given up", async () => {
  const failure = await failureOf(() => {});
  expect(failure.message).toBe("Connection terminated: the bus did not answer Hello in time");
});
