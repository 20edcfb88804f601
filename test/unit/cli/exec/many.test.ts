// Output of a command that runs in several machines at the same time.
import { expect, test } from "bun:test";
import { copyLines } from "../../../../src/cli/exec/many.ts";
import { asWritten } from "../../../../src/cli/format/own-sequence.ts";

async function printed(...chunks: (string | readonly number[])[]): Promise<string[]> {
  const stream = new ReadableStream<Uint8Array>({
    start(controller) {
      for (const chunk of chunks) controller.enqueue(Buffer.from(chunk as string));
      controller.close();
    },
  });
  const texts: string[] = [];
  await copyLines(stream, "web | ", (text) => texts.push(asWritten(text)));
  return texts;
}

test("each line begins with its machine's name, wherever the chunks of output end", async () => {
  expect(await printed("on", "e\ntwo\nthr", "ee")).toEqual(["web | one\n", "web | two\n", "web | three\n"]);
});

test("a line may end with carriage return and line feed", async () => {
  expect(await printed("one\r\ntwo\r", "\n")).toEqual(["web | one\n", "web | two\n"]);
});

test("control characters of a machine are escaped, so that it cannot imitate another one's lines; colours stay", async () => {
  expect(await printed("\r\u001b[2Kdb | hello\n\u001b[31mred\u001b[0m\n")).toEqual([
    "web | \\x0d\\x1b[2Kdb | hello\n",
    "web | \u001b[31mred\u001b[0m\n",
  ]);
});

test("a line without an end is printed in parts, not kept in memory", async () => {
  const piece = "x".repeat(70_000);
  expect(await printed(piece, piece, "y")).toEqual([`web | ${piece}\n`, `web | ${piece}\n`, "web | y\n"]);
});

test("an incomplete character at the end of the output is printed as U+FFFD", async () => {
  expect(await printed("x", [0xe2, 0x82])).toEqual(["web | x\ufffd\n"]);
  expect(await printed("x", [0xe2, 0x82], [0xac])).toEqual(["web | x€\n"]);
});
