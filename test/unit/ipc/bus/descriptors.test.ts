// Which object owns the descriptors that are received on a bus connection.
import { expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { errnoNameOf } from "../../../../src/base/error.ts";
import { BusConnection, type DescriptorPolicy } from "../../../../src/ipc/bus/connection.ts";
import { BusError } from "../../../../src/ipc/bus/error.ts";
import { ServerHandshake } from "../../../../src/ipc/bus/handshake.ts";
import { BusStream, type Incoming } from "../../../../src/ipc/bus/stream.ts";
import { type Fd, openPath } from "../../../../src/kernel/file/fd.ts";
import { streamOn } from "../../../../src/kernel/socket/stream.ts";
import { socketPair } from "../../../../src/kernel/socket/unix.ts";
import { scratchDirectory, until } from "../../../kernel/support.ts";
import { descriptorsTo } from "../../../lib/descriptors.ts";
import { withoutDescriptors } from "../../../lib/no-descriptors.ts";

/** A connection under test to a simulated peer, which handles every call with `answer`. */
async function connected(policy: DescriptorPolicy, answer: (call: Incoming, peer: BusStream) => void) {
  const [ours, theirs] = socketPair();
  const uid = process.geteuid?.() ?? 0;
  const peer: BusStream = new BusStream(
    streamOn(theirs),
    { message: (message) => message.type === 1 && answer(message, peer), end: () => {} },
    { handshake: new ServerHandshake(uid, "00") },
  );
  const connection = new BusConnection(ours, {}, { peerToPeer: true, descriptors: policy });
  await connection.ready();
  const close = () => {
    connection.close();
    peer.close();
  };
  return { connection, peer, close };
}

const directory = scratchDirectory();
const CALL = { path: "/", interface: "a.b", member: "C" };
let serial = 1;

/** Sends `count` descriptors; the first `named` of them are values of type h. */
function send(peer: BusStream, head: { type: number; replySerial?: number }, file: Fd, count: number, named: number) {
  const shown = Array.from({ length: named }, () => file);
  const hidden = Array.from({ length: count - named }, () => file);
  // The other descriptors are in an array of structures, which the receiver does not search.
  const signature = `${"h".repeat(named)}${hidden.length > 0 ? "a(h)" : ""}`;
  const body = [...shown, ...(hidden.length > 0 ? [hidden.map((fd) => [fd])] : [])];
  peer.send({ ...CALL, ...head, serial: ++serial, signature, body });
}

const POLICIES: readonly DescriptorPolicy[] = ["none", "lent", "kept"];

for (const policy of POLICIES) {
  test(`${policy}: descriptors of signals, of calls without a handler and of unexpected replies are closed`, async () => {
    const path = join(directory, policy);
    writeFileSync(path, "");
    using file = openPath(path, "read");
    const { connection, peer, close } = await connected(policy, (message, to) => {
      for (const fd of message.descriptors) fd.close();
      to.send({ type: 2, replySerial: message.serial, serial: ++serial });
    });
    for (let i = 0; i < 50; i++) {
      send(peer, { type: 4 }, file, 8, 8);
      send(peer, { type: 1 }, file, 8, 8);
      send(peer, { type: 2, replySerial: 4000 + i }, file, 8, 8);
      send(peer, { type: 77 }, file, 8, 8);
    }
    // When this call is answered, everything that was sent before has been received, or the connection has ended.
    const answer = await connection.call(CALL).catch((error: Error) => error.message);
    expect(answer).toEqual(policy === "none" ? "Connection terminated: recvmsg: Exchange full" : []);
    close();
    await until(() => descriptorsTo(path) === 1, "all but our own to be closed");
  });
}

test("by the policy, descriptors of a reply are refused, closed after the current turn of the event loop, or owned by the caller", async () => {
  using file = openPath("/dev/null", "read");
  const seen: Record<string, [atOnce: boolean | undefined, later: boolean | undefined]> = {};
  for (const policy of POLICIES) {
    const { connection, close } = await connected(policy, (message, to) =>
      send(to, { type: 2, replySerial: message.serial }, file, 1, 1),
    );
    const [fd] = (await connection.call(CALL).catch(() => [])) as [Fd?];
    const atOnce = fd?.isOpen;
    await new Promise((resolve) => setTimeout(resolve, 1));
    seen[policy] = [atOnce, fd?.isOpen];
    fd?.close();
    close();
  }
  expect(seen).toEqual({ none: [undefined, undefined], lent: [true, false], kept: [true, true] });
});

test("a call that cannot be sent for lack of descriptors fails with that errno, and leaves the connection usable", async () => {
  using file = openPath("/dev/null", "read");
  const { connection, close } = await connected("kept", (message, to) => {
    for (const fd of message.descriptors) fd.close();
    to.send({ type: 2, replySerial: message.serial, serial: ++serial });
  });
  const passing = { ...CALL, signature: "h", body: [file] };
  const failure = await withoutDescriptors(() => connection.call(passing).catch((error: unknown) => error));
  expect(errnoNameOf(failure)).toBe("EMFILE");
  expect(failure).not.toBeInstanceOf(BusError);
  expect(await connection.call(CALL)).toEqual([]);
  close();
});
