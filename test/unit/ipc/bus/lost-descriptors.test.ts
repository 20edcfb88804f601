// Messages whose descriptors this process cannot open, or that bring many: only such a message fails, and no descriptor
// is taken for that of another message.
import { afterAll, expect, test } from "bun:test";
import { openSync } from "node:fs";
import { ErrnoError } from "../../../../src/base/error.ts";
import { ServerHandshake } from "../../../../src/ipc/bus/handshake.ts";
import { BusStream, type Incoming } from "../../../../src/ipc/bus/stream.ts";
import { encodeMessage } from "../../../../src/ipc/message/message.ts";
import { Fd } from "../../../../src/kernel/file/fd.ts";
import { MAX_FDS } from "../../../../src/kernel/socket/max-fds.ts";
import type { ByteStream, OpenStream, StreamHandlers } from "../../../../src/kernel/socket/stream.ts";

const uid = process.geteuid?.() ?? 0;
const HELLO = Buffer.from(`\0AUTH EXTERNAL ${Buffer.from(String(uid)).toString("hex")}\r\nBEGIN\r\n`);

const file = Fd.adopt(openSync("/dev/null", "r"));
afterAll(() => file.close());

const call = (member: string, count: number) => {
  const head = { type: 1, serial: 1, path: "/", interface: "a.b", member };
  return encodeMessage({ ...head, signature: "h".repeat(count), body: Array(count).fill(file) }).bytes;
};
const copies = (count: number) => Array.from({ length: count }, () => file.duplicate());

/** A connection under test, whose socket is played: `receive` passes it bytes with descriptors. */
function connected() {
  let socket: StreamHandlers | undefined;
  const open: OpenStream = (handlers) => {
    socket = handlers;
    return {
      write() {},
      pause() {},
      resume() {},
      finish() {},
      close() {},
      queuedBytes: 0,
      takesMore: true,
    } as ByteStream;
  };
  const seen: string[] = [];
  const valuesOf = (message: Incoming) => {
    try {
      return message.values().length;
    } catch (error) {
      return (error as Error).message;
    }
  };
  const message = (incoming: Incoming) => {
    seen.push(`${incoming.member}: ${valuesOf(incoming)}`);
    for (const fd of incoming.descriptors) fd.close();
  };
  const end = (error?: Error) => void seen.push(`end: ${error?.message}`);
  const stream = new BusStream(
    open,
    { message, end },
    { handshake: new ServerHandshake(uid, "00"), takesDescriptors: MAX_FDS },
  );
  const receive = (bytes: Buffer, fds: Fd[] | "lost") => {
    if (fds === "lost") socket?.lost?.();
    socket?.data(bytes, fds === "lost" ? [] : fds);
  };
  receive(HELLO, []);
  return { receive, seen, stream };
}

test("a message whose descriptors are lost has no values, and the next one has its own", () => {
  const { receive, seen } = connected();
  const lost = call("Lost", 3);
  receive(Buffer.concat([call("First", 0), lost.subarray(0, 50)]), "lost");
  // The end of the message comes together with the beginning of the next, and with the descriptors of that.
  receive(Buffer.concat([lost.subarray(50), call("Next", 3)]), copies(3));
  receive(call("Last", 0), []);
  expect(seen).toEqual(["First: 0", "Lost: Too many open files", "Next: 3", "Last: 0"]);
});

test("a message that cannot be sent for lack of descriptors leaves none of them open", () => {
  const { stream } = connected();
  let copied = 0;
  let closed = 0;
  const scarce = {
    number: file.number,
    duplicate: () => {
      if (copied === 2) throw new ErrnoError("EMFILE", "no descriptor is free");
      copied++;
      return { [Symbol.dispose]: () => void closed++ };
    },
  };
  const head = { type: 1, serial: 1, path: "/", interface: "a.b", member: "Send" };
  const send = () => stream.send({ ...head, signature: "hhh", body: Array(3).fill(scarce) });
  expect(send).toThrow("no descriptor is free");
  expect({ copied, closed }).toEqual({ copied: 2, closed: 2 });
});

test("a long message with as many descriptors as possible does not end the connection, nor the next such one", () => {
  const { receive, seen } = connected();
  const long = call("Long", MAX_FDS);
  receive(long.subarray(0, 200), copies(MAX_FDS));
  receive(Buffer.concat([long.subarray(200), call("Next", MAX_FDS)]), copies(MAX_FDS));
  expect(seen).toEqual([`Long: ${MAX_FDS}`, `Next: ${MAX_FDS}`]);
});
