import { expect, test } from "bun:test";
import { engineEpollWith } from "../../../src/kernel/event/engine-epoll.ts";
import { writeSome } from "../../../src/kernel/file/byte-io.ts";
import { socketPair } from "../../../src/kernel/socket/unix.ts";
import { pin } from "../../../src/kernel/syscall/mem.ts";
import { sys } from "../../../src/kernel/syscall/sys.ts";
import { until } from "../support.ts";

const POLLIN = 1;

/** Returns whether a descriptor is readable now. */
function isReadable(fd: number): boolean {
  const [entry, now] = [pin(8), pin(16)];
  entry.view.setInt32(0, fd, true);
  entry.view.setInt16(4, POLLIN, true);
  return sys("ppoll", entry, 1, now, 0, 8) === 1;
}

test("the engine's epoll is found by a descriptor that it watches, and is readable when that is", async () => {
  const [ours, theirs] = socketPair();
  const { number } = ours;
  const { promise: received, resolve } = Promise.withResolvers<string>();
  const options = { fd: ours.take(), socket: { data: (_socket: unknown, bytes: Buffer) => resolve(bytes.toString()) } };
  const socket = await Bun.connect(options as never);
  const epoll = engineEpollWith(number) as number;
  expect(epoll).toBeGreaterThan(2);
  await until(() => !isReadable(epoll), "the engine has nothing to do");
  writeSome(theirs, Buffer.from("hello"));
  expect(isReadable(epoll)).toBeTrue();
  expect(await received).toBe("hello");
  socket.terminate();
  theirs[Symbol.dispose]();
});

test("no epoll is found for a descriptor that the engine does not watch", () => {
  const [one, other] = socketPair();
  expect(engineEpollWith(one.number)).toBeNull();
  one[Symbol.dispose]();
  other[Symbol.dispose]();
});
