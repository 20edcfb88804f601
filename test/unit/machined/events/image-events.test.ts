// Which changes of the search directories make the daemon list the images again.
import { expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { watchPath } from "../../../../src/kernel/event/inotify.ts";
import { ImageEvents } from "../../../../src/machined/events/image-events.ts";

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
