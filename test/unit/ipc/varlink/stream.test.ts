import { expect, test } from "bun:test";
import { VarlinkStream } from "../../../../src/ipc/varlink/stream.ts";
import { type Fd, openPath } from "../../../../src/kernel/file/fd.ts";
import { SocketStream } from "../../../../src/kernel/socket/stream.ts";
import { sendMessage, socketPair } from "../../../../src/kernel/socket/unix.ts";
import { descriptorsTo } from "../../../lib/descriptors.ts";

/** The messages that a stream reads from pieces that were all sent before: each with the number of its descriptors. */
async function received(pieces: readonly [text: string, descriptors: number][]): Promise<[string, number][]> {
  const [ours, theirs] = socketPair();
  using file = openPath("/dev/null", "read");
  for (const [text, count] of pieces) sendMessage(theirs, Buffer.from(text), new Array<Fd>(count).fill(file));
  theirs.close();
  const messages: [string, number][] = [];
  const { promise, resolve } = Promise.withResolvers<void>();
  new VarlinkStream((handlers) => new SocketStream(ours, handlers, { takesDescriptors: 8 }), {
    message: (text, descriptors) => {
      messages.push([text, descriptors.length]);
      for (const fd of descriptors) fd.close();
    },
    end: () => resolve(),
  });
  await promise;
  return messages;
}

test("V48 descriptors belong to the message that they were sent with, however the kernel joins the pieces", async () => {
  const before = descriptorsTo("/dev/null");
  expect(await received([["a\0", 0], ["b\0", 1]])).toEqual([["a", 0], ["b", 1]]); // biome-ignore format: pairs
  expect(
    await received([
      ["a\0", 1],
      ["b\0", 0],
      ["c\0d\0", 0],
      ["e\0", 2],
    ]),
  ).toEqual([
    ["a", 1],
    ["b", 0],
    ["c", 0],
    ["d", 0],
    ["e", 2],
  ]);
  expect(
    await received([
      ["a\0b", 0],
      ["c\0", 0],
      ["d", 1],
      ["e\0", 0],
    ]),
  ).toEqual([
    ["a", 0],
    ["bc", 0],
    ["de", 1],
  ]);
  expect(await received([["unfinished", 1]])).toEqual([]);
  expect(descriptorsTo("/dev/null")).toBe(before);
});
