// Events from the files of a control group: limits, pausing and resuming.
import { expect, test } from "bun:test";
import { ErrnoError } from "../../../../src/base/error.ts";
import { numberOf, Reading, WATCHED_FILES } from "../../../../src/machined/events/cgroup-events.ts";

const MEMORY = "low 0\nhigh 0\nmax 31\noom 2\noom_kill 2\noom_group_kill 0\n";

function readings(file: string, texts: (string | null)[]): string[] {
  const told: string[] = [];
  const watched = WATCHED_FILES.find((one) => one.file === file);
  if (watched === undefined) throw new Error(`${file} is not watched`);
  const read = () => {
    const text = texts.shift() ?? null;
    if (text === null) throw new ErrnoError("ENODEV", "gone");
    return text;
  };
  const reading = new Reading(watched, {
    read,
    tell: ({ type, event, count }) => told.push(`${type} ${event} ${count ?? ""}`.trim()),
  });
  while (texts.length > 0) reading.look();
  return told;
}

test("counts from before the watch are not logged, and increases are logged as the difference", () => {
  const more = MEMORY.replace("oom_kill 2", "oom_kill 5");
  expect(readings("memory.events", [MEMORY, MEMORY, more, more])).toEqual(["resource oom 3"]);
  expect(readings("pids.events", ["max 0\n", "max 1\n", "max 1\n", "max 9\n"])).toEqual([
    "resource pids-limit 1",
    "resource pids-limit 8",
  ]);
});

test("freezing a group logs 'paused', thawing it logs 'resumed'", () => {
  const state = (frozen: number) => `populated 1\nfrozen ${frozen}\n`;
  expect(readings("cgroup.events", [state(0), state(1), state(1), state(0)])).toEqual([
    "machine paused",
    "machine resumed",
  ]);
});

test("nothing is logged for a group that was removed", () => {
  expect(readings("memory.events", [MEMORY, null, null])).toEqual([]);
  expect(numberOf(MEMORY, "oom")).toBe(2);
  expect(numberOf(MEMORY, "nothing")).toBe(null);
});

test("a file that cannot be read for a moment must be read again", () => {
  const [watched] = WATCHED_FILES;
  let errno = "EMFILE";
  const read = () => {
    throw new ErrnoError(errno, "cannot be read");
  };
  const reading = new Reading(watched as (typeof WATCHED_FILES)[number], { read, tell: () => {} }, 0);
  // The pause after it is longer.
  expect(reading.look()).toBeGreaterThan(0);
  expect(reading.hasFailed).toBe(true);
  errno = "ENODEV";
  expect(reading.look()).toBe(0);
  expect(reading.hasFailed).toBe(false);
});
