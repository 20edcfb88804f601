import { expect, test } from "bun:test";
import { lutimesSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Fd, openPath, statFd } from "../../../src/kernel/file/fd.ts";
import { mountIdOf, nameEntry, nameIfKnown, nameOnMount } from "../../../src/kernel/file/open-cached.ts";
import { descriptorsTo } from "../../lib/descriptors.ts";
import { MANY, scratchDirectory } from "../support.ts";

const top = scratchDirectory();
mkdirSync(join(top, "etc"));
writeFileSync(join(top, "etc/file"), "text");
symlinkSync("/etc/file", join(top, "link"));
// A link whose access time needs an update cannot be followed with RESOLVE_CACHED.
lutimesSync(join(top, "link"), Date.now() / 1000 + 3600, Date.now() / 1000);

/**
 * Repeats a call until it succeeds: while another process mounts or renames something, the kernel may refuse a lookup
 * that must not wait.
 */
function answer(ask: () => Fd | null): Fd {
  for (let i = 0; i < MANY; i++) {
    const file = ask();
    if (file !== null) return file;
  }
  throw new Error("There is never an answer");
}

test("files that were just created can be opened below a root, also through links", () => {
  using root = openPath(top, "path");
  for (const path of ["/etc/file", "/link", "/../../etc/file"]) {
    for (const name of [nameIfKnown, nameOnMount]) {
      using file = answer(() => name(root, path));
      expect(statFd(file).kind).toBe("regular");
    }
  }
  expect(() => nameOnMount(root, "/etc/none")).toThrow("No such file or directory");
});

test("nameOnMount() does not cross mounts, and nameEntry() follows no links", () => {
  using root = openPath("/", "path");
  expect(nameOnMount(root, "/proc/version")).toBeNull();
  using own = openPath(top, "path");
  expect(nameEntry(own, "link")).toBeNull();
  expect(nameEntry(root, "proc")).toBeNull();
  expect(() => nameEntry(own, "none")).toThrow("No such file or directory");
  using etc = answer(() => nameEntry(own, "etc"));
  expect(statFd(etc).kind).toBe("directory");
});

test("the mount id of a file is that of its line in mountinfo", () => {
  using file = openPath("/proc/version", "path");
  const id = mountIdOf(file);
  const line = readFileSync("/proc/self/mountinfo", "utf8")
    .split("\n")
    .find((text) => text.startsWith(`${id} `));
  expect(line).toContain(" /proc ");
});

test("results stay correct in a hot loop, and no descriptor stays open", () => {
  using root = openPath(top, "path");
  using proc = openPath("/proc/version", "path");
  const [here, there] = [mountIdOf(root), mountIdOf(proc)];
  expect(here).not.toBe(there);
  for (let i = 0; i < MANY; i++) {
    using file = answer(() => (i % 2 === 0 ? nameIfKnown : nameOnMount)(root, "/etc/file"));
    if (mountIdOf(file) !== here || mountIdOf(proc) !== there) throw new Error(`wrong at ${i}`);
  }
  expect(descriptorsTo(join(top, "etc/file"))).toBe(0);
});
