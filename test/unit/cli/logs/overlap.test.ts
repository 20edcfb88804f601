// Readings that go on where another was cut off, at every place and with every overlap.
import { expect, test } from "bun:test";
import { EntryFilter, RecentLines, SequenceFilter } from "../../../../src/cli/logs/overlap.ts";

function resumed(printed: readonly string[], again: readonly string[]): string[] {
  const filter = new SequenceFilter(printed);
  return [...again.flatMap((line) => filter.take([line])), ...filter.finish()];
}

test("no line is lost or printed twice, wherever the first reading was cut and the second begins", () => {
  const all = Array.from({ length: 12 }, (_, index) => `line ${index}`);
  for (let cut = 1; cut <= all.length; cut++) {
    for (let begin = 0; begin < cut; begin++) {
      expect(resumed(all.slice(0, cut), all.slice(begin))).toEqual(all.slice(cut));
    }
  }
});

test("lines that repeat do not hide what follows them", () => {
  expect(resumed(["a", "b", "a", "b"], ["a", "b", "c"])).toEqual(["c"]);
  expect(resumed(["x", "x", "x"], ["x", "x", "x", "y", "x"])).toEqual(["y", "x"]);
  expect(resumed(["a", "b", "a"], ["a", "c"])).toEqual(["c"]);
});

test("a reading without overlap is new as a whole, and so is one after nothing", () => {
  expect(resumed(["a", "b"], ["c", "a", "b"])).toEqual(["c", "a", "b"]);
  expect(resumed([], ["a", "b"])).toEqual(["a", "b"]);
  // Begins like what was printed, and goes on otherwise before the end of that.
  expect(resumed(["a", "b", "c"], ["a", "x"])).toEqual(["a", "x"]);
});

test("a reading that ends within the overlap has nothing new", () => {
  expect(resumed(["a", "b", "c"], ["a", "b"])).toEqual([]);
  expect(resumed(["a", "b"], [])).toEqual([]);
});

test("the next reading begins some seconds back, never before what is remembered", () => {
  const recent = new RecentLines(100_000_000);
  expect(recent.resumeUsec).toBe(100_000_000);
  recent.add(["a"], 102_000_000);
  expect(recent.resumeUsec).toBe(100_000_000);
  recent.add(["b"], 109_000_000);
  expect(recent.resumeUsec).toBe(104_000_000);
  recent.add(["c"], 130_000_000);
  expect([recent.resumeUsec, recent.lines]).toEqual([125_000_000, ["c"]]);
});

test("a flood of lines is remembered in part, and the next reading begins where that part does", () => {
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

test("long lines are remembered up to a size", () => {
  const recent = new RecentLines(0);
  recent.add(["old"], 9_000_000);
  for (let i = 0; i < 40; i++) recent.add([`${i}`.padEnd(1 << 20)], 10_000_000 + i);
  expect(recent.lines.length).toBe(16);
  expect(recent.resumeUsec).toBe(10_000_023);
});

test("what is the same of a line in every reading is compared, and the line is printed", () => {
  const filter = new EntryFilter(["id 1", "id 2"], (line) => line.slice(0, 4));
  expect(filter.take(["id 2 again", "id 3 new"])).toEqual(["id 3 new"]);
});

test("entries that tell their moment are printed once, in whatever order and wherever they come again", () => {
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
