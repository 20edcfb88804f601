// The ends of lines in what a child writes to its standard error: those of our terminal.
import { expect, test } from "bun:test";
import { LineEnds } from "../../../../src/ipc/bus/child-errors.ts";

function taken(...parts: readonly string[]): string[] {
  const ends = new LineEnds();
  return [...parts.map((part) => ends.take(part)), ends.rest()];
}

test("carriage returns before a newline are left out, also where they arrive before it", () => {
  expect(taken("a\r\nb\r\r\nc\n")).toEqual(["a\nb\nc\n", ""]);
  expect(taken("a\r", "\nb\r", "\r\n", "c\rd\r")).toEqual(["a", "\nb", "\n", "c\rd", "\r"]);
});

test("carriage returns without an end are passed on, and take no time that grows with their square", () => {
  const run = "\r".repeat(1 << 20);
  expect(taken(`${run}x`).join("")).toBe(`${run}x`);
  const ends = new LineEnds();
  // None of them is the beginning of an end of line.
  expect(ends.take(run).length).toBe(run.length);
  expect(ends.rest()).toBe("");
});
