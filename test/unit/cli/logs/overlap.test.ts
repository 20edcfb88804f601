// A reading of a log that resumes one that was cut off, at every position and with every overlap.
import { expect, test } from "bun:test";
import { EntryFilter, LastBoot, RecentLines, SequenceFilter } from "../../../../src/cli/logs/overlap.ts";

function resumed(printed: readonly string[], again: readonly string[]): string[] {
  const filter = new SequenceFilter(printed);
  return [...again.flatMap((line) => filter.take([line])), ...filter.finish()];
}

test("no line is lost or printed twice, wherever the first reading ends and the second begins", () => {
  const all = Array.from({ length: 12 }, (_, index) => `line ${index}`);
  for (let cut = 1; cut <= all.length; cut++) {
    for (let begin = 0; begin < cut; begin++) {
      expect(resumed(all.slice(0, cut), all.slice(begin))).toEqual(all.slice(cut));
    }
  }
});

test("repeated lines do not hide the lines after them", () => {
  expect(resumed(["a", "b", "a", "b"], ["a", "b", "c"])).toEqual(["c"]);
  expect(resumed(["x", "x", "x"], ["x", "x", "x", "y", "x"])).toEqual(["y", "x"]);
  expect(resumed(["a", "b", "a"], ["a", "c"])).toEqual(["c"]);
});

test("all lines of a reading without overlap are new, and all after an empty reading", () => {
  expect(resumed(["a", "b"], ["c", "a", "b"])).toEqual(["c", "a", "b"]);
  expect(resumed([], ["a", "b"])).toEqual(["a", "b"]);
  // Its first line equals one that was printed, but the next one differs.
  expect(resumed(["a", "b", "c"], ["a", "x"])).toEqual(["a", "x"]);
});

test("a reading that ends within the overlap has no new lines", () => {
  expect(resumed(["a", "b", "c"], ["a", "b"])).toEqual([]);
  expect(resumed(["a", "b"], [])).toEqual([]);
});

test("the next reading begins five seconds before the last line, but not before the remembered lines", () => {
  const recent = new RecentLines(100_000_000);
  expect(recent.resumeUsec).toBe(100_000_000);
  recent.add(["a"], 102_000_000);
  expect(recent.resumeUsec).toBe(100_000_000);
  recent.add(["b"], 109_000_000);
  expect(recent.resumeUsec).toBe(104_000_000);
  recent.add(["c"], 130_000_000);
  expect([recent.resumeUsec, recent.lines]).toEqual([125_000_000, ["c"]]);
});

test("the last 20 000 lines are remembered, and the next reading begins at the first of them", () => {
  const recent = new RecentLines(0);
  recent.add(
    Array.from({ length: 15_000 }, (_, index) => `old ${index}`),
    10_000_000,
  );
  recent.add(
    Array.from({ length: 15_000 }, (_, index) => `new ${index}`),
    11_000_000,
  );
  expect(recent.lines.length).toBe(20_000);
  expect(recent.resumeUsec).toBe(10_000_000);
});

test("lines are remembered up to a total of 16 MiB", () => {
  const recent = new RecentLines(0);
  recent.add(["old"], 9_000_000);
  for (let i = 0; i < 40; i++) recent.add([`${i}`.padEnd(1 << 20)], 10_000_000 + i);
  expect(recent.lines.length).toBe(16);
  expect(recent.resumeUsec).toBe(10_000_023);
});

test("lines are compared by the part that does not change between readings, and printed whole", () => {
  const filter = new EntryFilter(["id 1", "id 2"], (line) => line.slice(0, 4));
  expect(filter.take(["id 2 again", "id 3 new"])).toEqual(["id 3 new"]);
});

test("entries with a timestamp are printed once, in whatever order they are read again", () => {
  const filter = new EntryFilter(["10:00 a", "10:00 b", "  more of b", "10:01 tick"], (line) => line);
  const again = [
    "09:59 late",
    "10:00 b",
    "  more of b",
    "10:01 tick",
    "10:01 tick",
    "10:00 a",
    "10:02 b",
    "  more of b",
  ];
  expect(again.flatMap((line) => filter.take([line]))).toEqual(["09:59 late", "10:01 tick", "10:02 b", "  more of b"]);
});

const BOOT = `-- Boot ${"0123456789abcdef".repeat(2)} --\n`;

test("lines of the last boot are those after the last line between boots", () => {
  const boot = new LastBoot();
  boot.add(["10:00 a\n", BOOT, "10:00 a\n", "10:00 -- Boot --\n"]);
  expect(boot.lines).toEqual(["10:00 a\n", "10:00 -- Boot --\n"]);
  boot.add(["10:01 b\n", "-- Reboot --\n"]);
  expect(boot.lines).toEqual([]);
});

test("lines of the last boot are remembered up to a limit", () => {
  const boot = new LastBoot();
  boot.add(Array.from({ length: 20_001 }, (_, index) => `${index}`));
  expect([boot.lines.length, boot.lines.at(-1)]).toEqual([10_000, "20000"]);
  boot.add(["x".repeat(16 << 20), "y"]);
  expect(boot.lines.at(-1)).toBe("y");
  expect(boot.lines.join("").length).toBeLessThan(17 << 20);
});
