import { expect } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { openPath } from "../../../src/kernel/file/fd.ts";
import { readFileIn } from "../../../src/kernel/file/regular-file.ts";
import { mountDetached } from "../../../src/kernel/mount/detached.ts";
import { attachLoop } from "../../../src/kernel/mount/loop.ts";
import { expectNothingLeft, openDescriptors } from "../../lib/descriptors.ts";
import { rootTest, scratchDirectory, until } from "../support.ts";
import { run } from "../tree-support.ts";

const directory = scratchDirectory();

function image(name: string, prefixBytes = 0): string {
  const [tree, plain, path] = [`${name}-tree`, `${name}-fs`, name].map((part) => join(directory, part)) as [
    string,
    string,
    string,
  ];
  run("sh", "-c", `mkdir -p '${tree}' && echo inside > '${tree}/file' && ln -s /etc/passwd '${tree}/out'`);
  run("truncate", "-s", "8M", plain);
  run("mkfs.ext4", "-q", "-d", tree, plain);
  writeFileSync(path, Buffer.concat([Buffer.alloc(prefixBytes), readFileSync(plain)]));
  return path;
}

rootTest("a part of a file is mounted detached, and its loop device is released when it is closed", async () => {
  const path = image("disk", 1 << 20);
  const before = openDescriptors();
  {
    using file = openPath(path, "read");
    using loop = attachLoop(file, 1 << 20, 8 << 20);
    using root = mountDetached("ext4", loop.path, ["noload"]);
    expect(readFileIn(root, "/file", 100).toString()).toBe("inside\n");
    expect(() => readFileIn(root, "/out", 100)).toThrow("No such file");
    expect(readFileSync("/proc/self/mountinfo", "utf8")).not.toContain(loop.path);
  }
  expectNothingLeft(before);
  // By the file, because another program may have taken the device by now.
  await until(() => !run("losetup", "-a").includes(path), "the loop device to be free again");
});

rootTest("mounting an invalid or unknown file system is an error, and the loop device is released", async () => {
  const path = join(directory, "garbage");
  writeFileSync(path, Buffer.alloc(4 << 20, 0x53));
  using file = openPath(path, "read");
  {
    using loop = attachLoop(file, 0, 0);
    expect(() => mountDetached("ext4", loop.path, [])).toThrow("mount");
    expect(() => mountDetached("no-such-type", loop.path, [])).toThrow("No such device");
  }
  await until(() => !run("losetup", "-a").includes(path), "the loop device to be free again");
});

rootTest("loop devices can be attached many times", () => {
  const path = image("again");
  using file = openPath(path, "read");
  const before = openDescriptors();
  for (let i = 0; i < 50; i++) {
    using loop = attachLoop(file, 0, 0);
    if (!loop.path.startsWith("/dev/loop")) throw new Error(`wrong at ${i}`);
  }
  expectNothingLeft(before);
});

rootTest("a loop device that cannot be attached is closed", () => {
  const path = join(directory, "not-for-reading");
  writeFileSync(path, "");
  using file = openPath(path, "path");
  const before = openDescriptors();
  for (let i = 0; i < 50; i++) expect(() => attachLoop(file, 0, 0)).toThrow("Bad file descriptor");
  expectNothingLeft(before);
});
