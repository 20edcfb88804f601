// Messages that a broker forwards and that are not valid for us.
import { expect, test } from "bun:test";
import { ServerHandshake } from "../../../../src/ipc/bus/handshake.ts";
import { BusStream, type StreamHandlers } from "../../../../src/ipc/bus/stream.ts";
import { encodeMessage } from "../../../../src/ipc/message/message.ts";
import { openPath } from "../../../../src/kernel/file/fd.ts";
import { SocketStream, streamOn } from "../../../../src/kernel/socket/stream.ts";
import { socketPair } from "../../../../src/kernel/socket/unix.ts";
import { descriptorsTo } from "../../../lib/descriptors.ts";

const call = (member: string) =>
  encodeMessage({ type: 1, serial: 1, path: "/", interface: "a.b", member, destination: ":1.5" }).bytes;

/** A call whose path is not valid. */
function invalid(): Buffer {
  const bytes = call("Bad");
  bytes.writeUInt8(0x2e, bytes.indexOf("\x01o\0\x01\0\0\0/") + 7);
  return bytes;
}

/** Sends `bytes` after the handshake; returns the received members, the reasons of skipped messages, and the end. */
async function received(bytes: Buffer, skips: boolean): Promise<{ members: string[]; skipped: string[]; end: string }> {
  const [ours, theirs] = socketPair();
  const seen = { members: [] as string[], skipped: [] as string[] };
  const { promise, resolve } = Promise.withResolvers<string>();
  const handlers: StreamHandlers = {
    message: ({ member }) => {
      seen.members.push(member ?? "");
      if (member === "Last") resolve("");
    },
    end: (error) => resolve(error?.message ?? "closed"),
    ...(skips ? { skipped: (reason: string) => seen.skipped.push(reason) } : {}),
  };
  const handshake = new ServerHandshake(process.geteuid?.() ?? 0, "00");
  const stream = new BusStream(streamOn(ours), handlers, { handshake });
  const peer = new SocketStream(theirs, { data: () => {}, end: () => {} });
  const uid = Buffer.from(String(process.geteuid?.() ?? 0)).toString("hex");
  peer.write(Buffer.concat([Buffer.from(`\0AUTH EXTERNAL ${uid}\r\nBEGIN\r\n`), bytes]));
  const end = await promise;
  stream.close();
  peer.close();
  return { ...seen, end };
}

test("a message with an invalid head does not end the connection to a broker, and ends one between two peers", async () => {
  const bytes = Buffer.concat([call("First"), invalid(), call("Last")]);
  expect(await received(bytes, true)).toEqual({
    members: ["First", "Last"],
    skipped: ["object path is not valid"],
    end: "",
  });
  expect(await received(bytes, false)).toEqual({
    members: ["First"],
    skipped: [],
    end: "object path is not valid",
  });
});

test("a broker may forward an invalid head with descriptors, which are closed, and not given to the next message", async () => {
  const before = descriptorsTo("/dev/null");
  using file = openPath("/dev/null", "read");
  const [ours, theirs] = socketPair();
  const seen: [string, number][] = [];
  const skipped: string[] = [];
  const { promise, resolve } = Promise.withResolvers<Error | undefined>();
  const handlers: StreamHandlers = {
    message: ({ member = "", descriptors }) => {
      seen.push([member, descriptors.length]);
      for (const fd of descriptors) fd.close();
      if (member === "Last") resolve(undefined);
    },
    skipped: (reason) => skipped.push(reason),
    end: resolve,
  };
  const handshake = new ServerHandshake(process.geteuid?.() ?? 0, "00");
  const stream = new BusStream(streamOn(ours), handlers, { handshake, takesDescriptors: 8 });
  const peer = new SocketStream(theirs, { data: () => {}, end: () => {} });
  peer.write(Buffer.from("\0AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n"));
  const head = { type: 1, serial: 1, path: "/", interface: "a.b", destination: ":1.5", signature: "h", body: [file] };
  // A call with the name of an error: dbus-broker does not look at it.
  for (const fields of [{ member: "Bad", errorName: "none" }, { member: "Last" }]) {
    peer.write(encodeMessage({ ...head, ...fields }).bytes, [file.duplicate()]);
  }
  expect(await promise).toBeUndefined();
  expect([seen, skipped]).toEqual([[["Last", 1]], ["error name is not valid"]]);
  stream.close();
  peer.close();
  expect(descriptorsTo("/dev/null")).toBe(before + 1);
});
