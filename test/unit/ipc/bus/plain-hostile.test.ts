// The client for short calls and a peer that keeps to no rule: malformed replies, of the other byte order, too long,
// cut off.
import { expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { ServerHandshake } from "../../../../src/ipc/bus/handshake.ts";
import { connectPlainBus } from "../../../../src/ipc/plain/client.ts";
import { type Fd, openPath } from "../../../../src/kernel/file/fd.ts";
// Sockets are closed in the background: what that needs must not be loaded when the next file of tests is.
import "../../../../src/kernel/socket/close-in-child.ts";
import { Acceptor } from "../../../../src/kernel/socket/acceptor.ts";
import { SocketStream } from "../../../../src/kernel/socket/stream.ts";
import { listenUnix } from "../../../../src/kernel/socket/unix.ts";
import { scratchDirectory, until } from "../../../kernel/support.ts";
import { descriptorsTo } from "../../../lib/descriptors.ts";

const CALL = { path: "/", interface: "a.b", member: "C" };
const MIB = 1 << 20;
/** Calls with descriptors go over a socket that takes them. */
const DESCRIPTORS = { passesDescriptors: true };
const directory = scratchDirectory();
let peers = 0;

interface Played {
  /** Makes a call; returns the values, or the name and text of the error. */
  call(timeoutMs?: number): Promise<unknown>;
  end(): void;
}

/** Connects a client to a peer that authenticates, and hands the number of each received piece to `answer`. */
async function connected(
  answer: (stream: SocketStream, piece: number) => void,
  options: { readonly passesDescriptors?: boolean } = {},
): Promise<Played> {
  const path = join(directory, `bus-${peers++}`);
  const streams: SocketStream[] = [];
  const acceptor = new Acceptor(listenUnix(path), {
    welcome(socket: Fd) {
      const handshake = new ServerHandshake(process.geteuid?.() ?? 0, "00");
      let isReady = false;
      let pieces = 0;
      const stream: SocketStream = new SocketStream(socket, {
        data: (bytes) => {
          if (isReady) return answer(stream, ++pieces);
          const { reply, rest } = handshake.feed(Buffer.from(bytes));
          if (reply.length > 0) stream.write(reply);
          isReady = rest !== null;
          if (rest !== null && rest.length > 0) answer(stream, ++pieces);
        },
        end: () => {},
      });
      streams.push(stream);
    },
  });
  const client = await connectPlainBus({ kind: "private", path });
  return {
    call: (timeoutMs = 60_000) =>
      client.call({ ...CALL, ...options, timeoutMs }).catch((error: { errorName: string }) => error.errorName),
    end: () => {
      client.close();
      for (const stream of streams) stream.close();
      acceptor[Symbol.dispose]();
    },
  };
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

function padded(bytes: Buffer): Buffer {
  return Buffer.concat([bytes, Buffer.alloc(-bytes.length & 7)]);
}

/** Returns a reply in the byte order that is not ours. */
function reply(replySerial: number, signature = "", body: Buffer = Buffer.alloc(0), descriptors = 0): Buffer {
  const type = Buffer.from([8, 1, 0x67, 0, signature.length, ...Buffer.from(signature), 0]);
  const count = descriptors === 0 ? [] : [Buffer.from([9, 1, 0x75, 0]), uint32(descriptors)];
  const number = Buffer.concat([Buffer.from([5, 1, 0x75, 0]), uint32(replySerial)]);
  const fields = Buffer.concat([number, count.length === 0 ? type : padded(type), ...count]);
  const fixed = [Buffer.from([0x42, 2, 0, 1]), uint32(body.length), uint32(7), uint32(fields.length)];
  return Buffer.concat([padded(Buffer.concat([...fixed, fields])), body]);
}

test("a reply of the other byte order is read, and of its descriptors those among the values are kept", async () => {
  const path = join(directory, "file");
  writeFileSync(path, "");
  using file = openPath(path, "read");
  const text = Buffer.concat([uint32(2), Buffer.from("hi\0")]);
  const both = [file.duplicate(), file.duplicate()];
  const { call, end } = await connected((stream, piece) => {
    if (piece === 1) stream.write(reply(1, "s", text));
    else stream.write(reply(2, "h", uint32(1), 2), both);
  }, DESCRIPTORS);
  expect(await call()).toEqual(["hi"]);
  const [kept] = (await call()) as [Fd];
  await until(() => descriptorsTo(path) === 2, "the other one to be closed");
  kept.close();
  end();
});

test("a reply whose values are not what it says is an error of that call alone, and its descriptors are closed", async () => {
  const path = join(directory, "file-of-nobody");
  writeFileSync(path, "");
  using file = openPath(path, "read");
  const bad: (() => [Buffer, Fd[]])[] = [
    () => [reply(1, "h", uint32(9), 1), [file.duplicate()]],
    () => [reply(2, "s", uint32(50)), []],
    () => [reply(3, "a{vs}", uint32(0)), []],
    () => [reply(4, "ay", Buffer.concat([uint32(16 * MIB), Buffer.alloc(16 * MIB)])), []],
    () => [reply(5, "ay", Buffer.concat([uint32(128 * MIB - 4), Buffer.alloc(128 * MIB - 4)])), []],
  ];
  const { call, end } = await connected((stream, piece) => {
    const [bytes, descriptors] = bad[piece - 1]?.() ?? [reply(piece), []];
    stream.write(bytes, descriptors);
  }, DESCRIPTORS);
  for (const _ of bad) expect(await call()).toBe("org.freedesktop.DBus.Error.InconsistentMessage");
  expect(await call()).toEqual([]);
  expect(descriptorsTo(path)).toBe(1);
  end();
});

test.each<[string, (valid: Buffer) => Buffer]>([
  ["cut off", (valid) => valid.subarray(0, 20)],
  ["no message", () => Buffer.from("HTTP/1.1 400 Bad Request\r\n")],
  ["without a number", (valid) => Buffer.concat([valid.subarray(0, 8), uint32(0), valid.subarray(12)])],
  ["longer than any message", (valid) => Buffer.concat([valid.subarray(0, 4), uint32(0xffff_ffff), valid.subarray(8)])],
  ["an error without a name", (valid) => Buffer.concat([Buffer.from([0x42, 3]), valid.subarray(2)])],
])("a reply that is %s ends the connection and the call", async (what, make) => {
  const { call, end } = await connected((stream) => {
    stream.write(make(reply(1)));
    if (what === "cut off") setImmediate(() => stream.close());
  });
  for (let count = 0; count < 2; count++) expect(await call()).toBe("org.freedesktop.DBus.Error.Disconnected");
  end();
});

test("descriptors that no message counts end the connection before they are many", async () => {
  const path = join(directory, "file-of-none");
  writeFileSync(path, "");
  using file = openPath(path, "read");
  const { call, end } = await connected((stream) => {
    for (let count = 0; count < 30; count++) {
      stream.write(
        reply(99),
        Array.from({ length: 20 }, () => file.duplicate()),
      );
    }
  }, DESCRIPTORS);
  expect(await call()).toBe("org.freedesktop.DBus.Error.Disconnected");
  end();
  await until(() => descriptorsTo(path) === 1, "all of them to be closed");
});
