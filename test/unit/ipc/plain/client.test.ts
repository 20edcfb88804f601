// The client for short calls: replies, descriptors, a lost peer, and subscriptions to signals.
import { expect, test } from "bun:test";
import { readlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Variant } from "../../../../src/base/variant.ts";
import { ServerHandshake } from "../../../../src/ipc/bus/handshake.ts";
import { BusStream, type Incoming } from "../../../../src/ipc/bus/stream.ts";
import { encodeMessage } from "../../../../src/ipc/message/message.ts";
import { connectPlainBus } from "../../../../src/ipc/plain/client.ts";
import { type Fd, openPath } from "../../../../src/kernel/file/fd.ts";
import { Acceptor } from "../../../../src/kernel/socket/acceptor.ts";
import { streamOn } from "../../../../src/kernel/socket/stream.ts";
import { listenUnix } from "../../../../src/kernel/socket/unix.ts";
import { scratchDirectory, until } from "../../../kernel/support.ts";
import { descriptorsTo } from "../../../lib/descriptors.ts";

const CALL = { path: "/", interface: "a.b", member: "C" };
const directory = scratchDirectory();
let serial = 1;
let servers = 0;

/** A simulated peer that passes each call to `answer`, and a client that is connected to it. */
async function connected(answer: (call: Incoming, peer: BusStream) => void) {
  const path = join(directory, `bus-${servers++}`);
  const peers: BusStream[] = [];
  const others: Incoming[] = [];
  const acceptor = new Acceptor(listenUnix(path), {
    welcome(socket: Fd) {
      const peer: BusStream = new BusStream(
        streamOn(socket),
        { message: (message) => (message.type === 1 ? answer(message, peer) : others.push(message)), end: () => {} },
        { handshake: new ServerHandshake(process.geteuid?.() ?? 0, "00"), takesDescriptors: 1 },
      );
      peers.push(peer);
    },
  });
  const client = await connectPlainBus({ kind: "private", path });
  const end = () => {
    client.close();
    for (const peer of peers) peer.close();
    acceptor[Symbol.dispose]();
  };
  return { client, peers, others, end };
}

test("a call returns the reply's values or fails with the error's name and text, and replies may come in any order", async () => {
  const held: Incoming[] = [];
  const { client, end } = await connected((call, peer) => {
    if (call.member === "Late") held.push(call);
    else if (call.member === "Bad") {
      const error = { type: 3, errorName: "a.Bad", signature: "s", body: ["why"] };
      peer.send({ ...error, replySerial: call.serial, serial: ++serial });
    } else {
      for (const { serial: replySerial, member } of [call, ...held.splice(0)]) {
        peer.send({ type: 2, replySerial, serial: ++serial, signature: "s", body: [`to ${member}`] });
      }
    }
  });
  const late = client.call({ ...CALL, member: "Late" });
  expect(await client.call(CALL)).toEqual(["to C"]);
  expect(await late).toEqual(["to Late"]);
  const error = await client.call({ ...CALL, member: "Bad" }).catch((reason: unknown) => reason);
  expect(error).toMatchObject({ name: "BusError", errorName: "a.Bad", message: "why" });
  end();
});

test("a descriptor within a variant is sent, although the row of the call names none", async () => {
  const path = join(directory, "within");
  writeFileSync(path, "");
  using file = openPath(path, "read");
  const { client, end } = await connected((call, peer) => {
    const [[, { value }]] = call.values()[1] as [[string, Variant]];
    const where = readlinkSync(`/proc/self/fd/${(value as Fd).number}`);
    (value as Fd).close();
    peer.send({ type: 2, replySerial: call.serial, serial: ++serial, signature: "s", body: [where] });
  });
  const call = { ...CALL, signature: "sa(sv)", body: ["m1", [["LeaderPIDFD", new Variant("h", file)]]] };
  expect(await client.call(call)).toEqual([path]);
  // The caller's own is still open.
  expect(file.isOpen).toBe(true);
  expect(descriptorsTo(path)).toBe(1);
  end();
});

test("descriptors among the values are owned by the caller, all others are closed", async () => {
  const path = join(directory, "file");
  writeFileSync(path, "");
  using file = openPath(path, "read");
  const { client, end } = await connected((call, peer) => {
    peer.send({ type: 4, ...CALL, serial: ++serial, signature: "h", body: [file] });
    peer.send({ type: 77, ...CALL, serial: ++serial, signature: "h", body: [file] });
    peer.send({ type: 2, replySerial: 4000, serial: ++serial, signature: "h", body: [file] });
    peer.send({ type: 2, replySerial: call.serial, serial: ++serial, signature: "h", body: [file] });
  });
  const [theirs] = (await client.call({ ...CALL, passesDescriptors: true })) as [Fd];
  await until(() => descriptorsTo(path) === 2, "all but the caller's and our own to be closed");
  expect(theirs.isOpen).toBe(true);
  theirs.close();
  end();
});

test("calls that pass descriptors share a second connection, all others stay on the first", async () => {
  const answered: BusStream[] = [];
  const { client, peers, end } = await connected((call, peer) => {
    answered.push(peer);
    peer.send({ type: 2, replySerial: call.serial, serial: ++serial });
  });
  for (const passesDescriptors of [false, true, false, true]) await client.call({ ...CALL, passesDescriptors });
  const [first, second] = peers as [BusStream, BusStream];
  expect(answered.map((peer) => peers.indexOf(peer))).toEqual([0, 1, 0, 1]);
  client.close();
  await until(() => !first.isOpen && !second.isOpen, "the end of both connections");
  end();
});

test("a call from the peer is answered with UnknownMethod", async () => {
  const { client, others, end } = await connected((call, peer) => {
    peer.send({ type: 1, ...CALL, serial: 7000 });
    peer.send({ type: 2, replySerial: call.serial, serial: ++serial });
  });
  await client.call(CALL);
  await until(() => others.length > 0, "an answer");
  expect(others[0]).toMatchObject({ errorName: "org.freedesktop.DBus.Error.UnknownMethod", replySerial: 7000 });
  end();
});

test("when the peer is lost, pending and later calls fail, and onClose() is called once", async () => {
  const { client, end } = await connected((_call, peer) => peer.close());
  let told = 0;
  client.onClose(() => told++);
  const LOST = "org.freedesktop.DBus.Error.Disconnected";
  for (let i = 0; i < 2; i++) {
    const error = await client.call(CALL).catch((reason: unknown) => reason);
    expect(error).toMatchObject({ errorName: LOST });
  }
  expect(told).toBe(1);
  client.onClose(() => told++);
  expect(told).toBe(2);
  end();
});

test("after subscribe(), signals and all calls use one connection, so that both arrive in order", async () => {
  const { client, peers, end } = await connected((call, peer) => {
    if (call.member === "C") peer.send({ type: 4, ...CALL, serial: ++serial, signature: "s", body: ["news"] });
    peer.send({ type: 2, replySerial: call.serial, serial: ++serial });
  });
  const seen: unknown[] = [];
  await client.call({ ...CALL, member: "Before" });
  await client.subscribe({ member: "C" }, ([word]) => seen.push(word));
  await client.call(CALL);
  expect(peers.length).toBe(2);
  expect(seen).toEqual(["news"]);
  let told = 0;
  client.onClose(() => told++);
  peers[0]?.close();
  await client.call(CALL);
  expect(told).toBe(0);
  peers[1]?.close();
  await until(() => told > 0, "the end of the second connection");
  end();
  expect(told).toBe(1);
});

test("a second reply to a call is dropped, and its descriptors are closed", async () => {
  const path = join(directory, "file-of-replies");
  writeFileSync(path, "");
  using file = openPath(path, "read");
  const { client, end } = await connected((call, peer) => {
    for (let copy = 0; copy < 5; copy++) {
      peer.send({ type: 2, replySerial: call.serial, serial: ++serial, signature: "h", body: [file] });
    }
  });
  const [fd] = (await client.call({ ...CALL, passesDescriptors: true })) as [Fd];
  fd.close();
  await until(() => descriptorsTo(path) === 1, "the others to be closed");
  end();
});

test("a call that cannot be encoded fails at once, and no call stays pending", async () => {
  const { client, end } = await connected(() => {});
  const call = client.call({ ...CALL, signature: "i", body: [2 ** 40] });
  expect(await call.catch((error: unknown) => error)).toBeInstanceOf(Error);
  end();
});

test("calls are sent before the peer has answered the authentication, and those of one turn at once", async () => {
  const path = join(directory, `bus-${servers++}`);
  const handshake = new ServerHandshake(process.geteuid?.() ?? 0, "00");
  const pieces: number[] = [];
  let answer: Buffer | null = null;
  let end = () => {};
  const acceptor = new Acceptor(listenUnix(path), {
    welcome(socket: Fd) {
      const open = streamOn(socket);
      const stream = open(
        {
          data(bytes) {
            pieces.push(bytes.length);
            if (answer === null) answer = handshake.feed(Buffer.from(bytes)).reply;
            else stream.write(answer);
          },
          end: () => {},
        },
        { takesDescriptors: 0 },
      );
      end = () => stream.close();
    },
  });
  const client = await connectPlainBus({ kind: "private", path });
  await until(() => pieces.length === 1, "the authentication");
  const calls = [1, 2, 3].map(() => client.call(CALL).catch((error: { errorName: string }) => error.errorName));
  await until(() => pieces.length === 2, "the calls");
  const [, first = 0] = pieces;
  const message = { type: 1, flags: 0, serial: 1, ...CALL };
  expect(first).toBe(3 * encodeMessage(message).bytes.length);
  client.close();
  expect(await Promise.all(calls)).toEqual(Array(3).fill("org.freedesktop.DBus.Error.Disconnected"));
  end();
  acceptor[Symbol.dispose]();
});
