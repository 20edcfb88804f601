import { expect, test } from "bun:test";
import { appendFileSync, mkdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type PathEvent, watchPath } from "../../../src/kernel/event/inotify.ts";
import { watchCount } from "../../../src/kernel/event/poller.ts";
import { expectNothingLeft, openDescriptors } from "../../lib/descriptors.ts";
import { MANY, reported, scratchDirectory, until } from "../support.ts";

const directory = scratchDirectory();

function recorder() {
  const seen: string[] = [];
  const record = (event: PathEvent) => seen.push(`${event.name ?? "-"} ${[...event.kinds].join("+")}`);
  return { seen, record };
}

test("changes of the requested kinds in a directory are reported with the entry's name", async () => {
  const { seen, record } = recorder();
  const watched = join(directory, "a");
  mkdirSync(watched);
  using _watch = watchPath(watched, ["create", "moved-to", "delete"], record);
  writeFileSync(join(watched, "one"), "text");
  renameSync(join(watched, "one"), join(watched, "zwei-ü"));
  rmSync(join(watched, "zwei-ü"));
  await until(() => seen.length >= 3, "three events");
  expect(seen).toEqual(["one create", "zwei-ü moved-to", "zwei-ü delete"]);
});

test("two watches of one file are independent, and closing the last removes the kernel's watch", async () => {
  const file = join(directory, "b");
  writeFileSync(file, "");
  symlinkSync(file, join(directory, "link"));
  const [modified, changed] = [recorder(), recorder()];
  const watchesBefore = watchCount();
  const first = watchPath(file, ["modify"], modified.record);
  const second = watchPath(join(directory, "link"), ["attrib"], changed.record);
  appendFileSync(file, "x");
  await until(() => modified.seen.length > 0, "the first event");
  rmSync(file);
  await until(() => changed.seen.includes("- gone"), "the end of the file");
  expect(modified.seen).toEqual(["- modify", "- gone"]);
  expect(changed.seen).toEqual(["- attrib", "- gone"]);
  first.stop();
  second.stop();
  expect(watchCount()).toBe(watchesBefore);
});

test("a stopped watch reports nothing, also when it is stopped in the middle of a batch of events", async () => {
  const watched = join(directory, "c");
  mkdirSync(watched);
  let calls = 0;
  const watching = watchPath(watched, ["create"], () => {
    calls++;
    watching.stop();
  });
  for (const name of ["1", "2", "3"]) writeFileSync(join(watched, name), "");
  await until(() => calls > 0, "the first event");
  await reported();
  expect(calls).toBe(1);
});

test("a path that cannot be watched is an error", () => {
  const before = openDescriptors();
  expect(() => watchPath("/no/such", ["modify"], () => {})).toThrow(
    'inotify_add_watch "/no/such": No such file or directory',
  );
  expect(() => watchPath("/", [], () => {})).toThrow("Invalid argument");
  expectNothingLeft(before);
});

test("an overflow of the queue is reported to all watches", async () => {
  const watched = join(directory, "d");
  mkdirSync(watched);
  const { seen, record } = recorder();
  using _watch = watchPath(watched, ["create", "delete"], record);
  // Nothing reads the kernel's queue before this loop ends, which makes two events each time.
  const limit = Number(readFileSync("/proc/sys/fs/inotify/max_queued_events", "utf8"));
  for (let i = 0; i <= limit / 2; i++) {
    writeFileSync(join(watched, "file"), "");
    rmSync(join(watched, "file"));
  }
  await until(() => seen.includes("- overflow"), "the overflow");
});

test("watching and stopping stays correct in a hot loop", () => {
  const before = openDescriptors();
  using _keep = watchPath(directory, ["create"], () => {});
  for (let i = 0; i < MANY; i++) watchPath("/proc/self", ["create"], () => {}).stop();
  expectNothingLeft(before);
});
