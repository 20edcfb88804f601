// Which changes of the search directories make the daemon list the images again.
import { afterEach, expect, jest, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ErrnoError } from "../../../../src/base/error.ts";
import { watchPath } from "../../../../src/kernel/event/inotify.ts";
import { ImageEvents } from "../../../../src/machined/events/image-events.ts";

/** Longer than the pause after images that cannot be listed. */
const PAUSE_MS = 11_000;

afterEach(() => {
  jest.useRealTimers();
});

/** Events of images whose listings are `lists`, of names, or null for one that fails; the last one stays. */
function eventsOf(lists: (readonly string[] | null)[], searchPath: readonly string[] = []) {
  const told: string[] = [];
  const counts = { lists: 0 };
  const imageOf = (name: string) => ({ name, path: "", type: "raw", facts: { identity: "", space: { limit: 0n } } });
  const list = () => {
    counts.lists++;
    const names = lists.length > 1 ? lists.shift() : lists[0];
    if (names === null || names === undefined) throw new ErrnoError("EMFILE", "too many open files");
    return names.map(imageOf) as never;
  };
  const log = { debug: () => {} };
  const events = new ImageEvents({ layout: { searchPath }, list }, log as never, ({ event, image }) => {
    told.push(`${event} ${image}`);
  });
  return { events, told, counts };
}

test("a change whose listing failed is logged later, though no further one follows", () => {
  jest.useFakeTimers();
  const { events, told } = eventsOf([["a"], null, ["a", "b"]]);
  events.open();
  events.changed();
  expect(told).toEqual([]);
  jest.advanceTimersByTime(PAUSE_MS);
  expect(told).toEqual(["added b"]);
  events.close();
});

test("images that could not be listed at first are those of the next listing", () => {
  jest.useFakeTimers();
  const { events, told } = eventsOf([null, null, ["a"], ["a", "b"]]);
  events.open();
  jest.advanceTimersByTime(PAUSE_MS);
  expect(told).toEqual([]);
  events.changed();
  jest.advanceTimersByTime(PAUSE_MS);
  expect(told).toEqual(["added b"]);
  events.close();
});

test("images are listed again while their directory cannot be watched", () => {
  jest.useFakeTimers();
  const parent = mkdtempSync(join(tmpdir(), "machined-images-"));
  const directory = join(parent, "machines");
  // ELOOP, whatever other tests of this process watch: where they do, a watch takes no further descriptor.
  symlinkSync(directory, directory);
  const { events, told, counts } = eventsOf([["a"], ["a"], ["a", "b"]], [directory]);
  try {
    events.open();
    rmSync(directory);
    mkdirSync(directory);
    jest.advanceTimersByTime(PAUSE_MS);
    expect(told).toEqual(["added b"]);
    const { lists } = counts;
    jest.advanceTimersByTime(PAUSE_MS);
    expect(counts.lists).toBe(lists);
  } finally {
    events.close();
    rmSync(parent, { recursive: true });
  }
});

/** Resolves when inotify has reported that an entry was removed: whoever watched before was told already. */
function removalOf(directory: string, entry: string): Promise<void> {
  return new Promise((resolve) => {
    const watch = watchPath(directory, ["delete"], ({ name }) => {
      if (name !== entry) return;
      watch.stop();
      resolve();
    });
  });
}

test("lock files and temporary files, which each reading of metadata makes, are no reason to list the images", async () => {
  const directory = mkdtempSync(join(tmpdir(), "machined-images-"));
  let lists = 0;
  const images = {
    layout: { searchPath: [directory] },
    list: () => {
      lists++;
      return [];
    },
  };
  const log = { debug: () => {} };
  const events = new ImageEvents(images, log as never, () => {});
  try {
    events.open();
    expect(lists).toBe(1);
    const isGone = removalOf(directory, ".#web.lck");
    writeFileSync(join(directory, ".#web.lck"), "");
    rmSync(join(directory, ".#web.lck"));
    await isGone;
    expect(lists).toBe(1);
    const isRemoved = removalOf(directory, "web.raw");
    writeFileSync(join(directory, "web.raw"), "");
    rmSync(join(directory, "web.raw"));
    await isRemoved;
    expect(lists).toBe(2);
  } finally {
    events.close();
    rmSync(directory, { recursive: true });
  }
});
