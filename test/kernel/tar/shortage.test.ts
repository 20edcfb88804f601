// What is unpacked while the host has no descriptor left: an error, and never a tree that is not that of the archive.
import { expect } from "bun:test";
import { chmodSync, chownSync, lstatSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { openPath } from "../../../src/kernel/file/fd.ts";
import { liftOsTree } from "../../../src/worker/image/os-tree.ts";
import { Unpacker } from "../../../src/worker/untar/unpacker.ts";
import { withoutDescriptors } from "../../lib/no-descriptors.ts";
import { archive, type BuiltMember } from "../../unit/worker/archive-builder.ts";
import { rootTest, scratchDirectory } from "../support.ts";

const scratch = scratchDirectory();
let tops = 0;

function newTop(): string {
  const top = join(scratch, `top${tops++}`);
  mkdirSync(top);
  return top;
}

/** Unpacks members, with no descriptor at the end of the archive; returns the error. */
function endWithoutDescriptors(...members: BuiltMember[]): Error | null {
  using top = openPath(newTop(), "directory");
  using unpacker = new Unpacker(top);
  unpacker.push(archive(...members));
  try {
    withoutDescriptors(() => unpacker.end());
    return null;
  } catch (error) {
    return error as Error;
  }
}

rootTest("a directory that cannot be opened again at the end does not lose its owner and its permissions", () => {
  expect(endWithoutDescriptors({ name: "d/", type: "5", mode: 0o755, uid: 7 })?.message).toContain(
    "Too many open files",
  );
});

rootTest("an access control list is not lost where the archive's users cannot be read", () => {
  const list = "user::rw-,user:one:rw-,group::r--,mask::rw-,other::---";
  const members = [
    { name: "f", pax: { "SCHILY.acl.access": list } },
    { name: "etc", type: "2", target: "var" },
  ];
  expect(endWithoutDescriptors(...members)?.message).toContain("Too many open files");
});

rootTest("an OS tree in a single directory is not left there where it cannot be looked at", () => {
  const top = newTop();
  mkdirSync(join(top, "rootfs/etc"), { recursive: true });
  writeFileSync(join(top, "rootfs/etc/os-release"), "");
  using tree = openPath(top, "directory");
  expect(() => withoutDescriptors(() => liftOsTree(tree), 2)).toThrow("Too many open files");
});

const NOBODY = 65534;

rootTest(
  "without privileges, the last of several members of a directory counts, whatever the first permits",
  async () => {
    const top = newTop();
    chmodSync(scratch, 0o755);
    chownSync(top, NOBODY, NOBODY);
    const member = { name: "d/", type: "5", uid: NOBODY, gid: NOBODY };
    const script = `
    const { openPath } = await import("${import.meta.dir}/../../../src/kernel/file/fd.ts");
    const { Unpacker } = await import("${import.meta.dir}/../../../src/worker/untar/unpacker.ts");
    using top = openPath(process.argv[1], "directory");
    using unpacker = new Unpacker(top);
    unpacker.push(Buffer.from(await Bun.stdin.bytes()));
    unpacker.end();`;
    const child = Bun.spawn(
      ["setpriv", `--reuid=${NOBODY}`, `--regid=${NOBODY}`, "--clear-groups", process.execPath, "-e", script, top],
      {
        stdin: archive({ ...member, mode: 0, mtime: 1 }, { ...member, mode: 0o750, mtime: 2 }),
        stdout: "ignore",
        stderr: "pipe",
      },
    );
    expect([await child.stderr.text(), await child.exited]).toEqual(["", 0]);
    const { mode, mtimeMs } = lstatSync(join(top, "d"));
    expect([mode & 0o777, mtimeMs]).toEqual([0o750, 2000]);
  },
);
