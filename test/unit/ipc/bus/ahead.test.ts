// Messages that are sent before the peer has answered the authentication.
import { expect, test } from "bun:test";
import { ClientHandshake, ServerHandshake } from "../../../../src/ipc/bus/handshake.ts";
import { BusStream, type Incoming } from "../../../../src/ipc/bus/stream.ts";
import { openPath } from "../../../../src/kernel/file/fd.ts";
import { SocketStream, streamOn } from "../../../../src/kernel/socket/stream.ts";
import { socketPair } from "../../../../src/kernel/socket/unix.ts";
import { until } from "../../../kernel/support.ts";

const SIGNAL = { type: 4, flags: 0, path: "/", interface: "a.b" } as const;

test("messages without descriptors do not wait for the answer, and do not overtake one with descriptors", async () => {
  const [ours, theirs] = socketPair();
  const uid = process.geteuid?.() ?? 0;
  const handshake = new ClientHandshake(uid, { sendsAhead: true });
  const client = new BusStream(
    streamOn(ours),
    { message: () => {}, end: () => {} },
    { handshake, takesDescriptors: 1 },
  );
  let early = Buffer.alloc(0);
  let isHeld = true;
  const seen: string[] = [];
  const message = ({ member, descriptors }: Incoming) => {
    seen.push(`${member} ${descriptors.length}`);
    for (const fd of descriptors) fd.close();
  };
  let feed: (bytes: Buffer) => void = () => {};
  const open = (handlers: ConstructorParameters<typeof SocketStream>[1]) => {
    feed = (bytes) => handlers.data(bytes, []);
    return new SocketStream(
      theirs,
      {
        ...handlers,
        data(bytes, fds) {
          if (isHeld) early = Buffer.concat([early, bytes]);
          else handlers.data(bytes, fds);
        },
      },
      { takesDescriptors: 1 },
    );
  };
  const options = { handshake: new ServerHandshake(uid, "00"), takesDescriptors: 1 };
  const peer = new BusStream(open, { message, end: () => {} }, options);
  client.send({ ...SIGNAL, member: "First", serial: 1 });
  using file = openPath("/dev/null", "read");
  client.send({ ...SIGNAL, member: "Second", serial: 2, signature: "h", body: [file] });
  client.send({ ...SIGNAL, member: "Third", serial: 3 });
  await until(() => early.includes("First"), "the first message");
  expect(early.toString("latin1")).toMatch(/^\0AUTH .*BEGIN\r\n.*First/s);
  expect([early.includes("Second"), early.includes("Third")]).toEqual([false, false]);
  isHeld = false;
  feed(early);
  await until(() => seen.length === 3, "the others");
  expect(seen).toEqual(["First 0", "Second 1", "Third 0"]);
  client.close();
  peer.close();
});
