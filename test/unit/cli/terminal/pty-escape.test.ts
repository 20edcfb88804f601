import { expect, test } from "bun:test";
import { EscapeCounter } from "../../../../src/cli/terminal/pty-escape.ts";

const KEY = "\u001d";

/** Whether inputs at their times end the session; one per line. */
function ends(...inputs: [atMs: number, text: string][]): boolean {
  const counter = new EscapeCounter();
  return inputs.some(([atMs, text]) => counter.feed(Buffer.from(text), atMs));
}

test("C96 three escape bytes within a second of the first end the session, in one read or in several", () => {
  expect(ends([0, KEY + KEY + KEY])).toBe(true);
  expect(ends([0, KEY], [400, KEY], [1000, KEY])).toBe(true);
  expect(ends([0, `ls\n${KEY}`], [10, `${KEY}${KEY}more`])).toBe(true);
});

test("C96 slower escape bytes do not end the session: one after more than a second counts as the first again", () => {
  expect(ends([0, KEY], [600, KEY], [1300, KEY])).toBe(false);
  expect(ends([0, KEY], [600, KEY], [1300, KEY], [1400, KEY], [1500, KEY])).toBe(true);
});

test("C96 escape bytes with other bytes between them do not end the session", () => {
  expect(ends([0, `${KEY}${KEY}x${KEY}`], [10, `${KEY}`])).toBe(false);
  expect(ends([0, KEY], [1, KEY], [2, "q"], [3, KEY])).toBe(false);
});
