// The text of a child's output, up to a limit.
import { expect, test } from "bun:test";
import { collectedText } from "../../../src/kernel/process/child-group.ts";

function streamOf(...parts: string[]): ReadableStream<Uint8Array> {
  return new ReadableStream({
    start: (controller) => {
      for (const part of parts) controller.enqueue(Buffer.from(part));
      controller.close();
    },
  });
}

test.each([
  [["abc"], "abc", 0],
  [["abcdefgh"], "abcde", 1],
  [["abc", "defgh", "i"], "abcde", 2],
  [["abcde", "f"], "abcde", 1],
  [["abcdé"], "abcd", 1],
] as const)("of %j, a text has the first 5 bytes, without a part of a character", async (parts, text, dropped) => {
  let over = 0;
  expect(await collectedText(streamOf(...parts), 5, () => over++)).toBe(text);
  expect(over).toBe(dropped);
});
