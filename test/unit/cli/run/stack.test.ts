// Stacks of layers: the lookup of a user's account, and the clone for a temporary machine.
import { expect, test } from "bun:test";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { ImageTree } from "../../../../src/cli/run/image-tree.ts";
import { cloneStack } from "../../../../src/cli/run/stack.ts";

const TOO_LARGE_BYTES = 17 << 20;

/** Makes a stack of two layers; the lower one has the user database. */
function stack(): string {
  const path = mkdtempSync(join(tmpdir(), "machined-stack-"));
  for (const layer of ["layer@0", "layer@1"]) mkdirSync(join(path, layer, "etc"), { recursive: true });
  writeFileSync(join(path, "layer@0/etc/passwd"), "u:x:1000:1000::/home/u:/bin/sh\n");
  writeFileSync(join(path, "layer@0/etc/group"), "log:x:50:u\n");
  return path;
}

test("a file that the upper layer lacks is read from the lower one; a file that cannot be read is an error", () => {
  const path = stack();
  const account = () => {
    using tree = ImageTree.open({ path, type: "mstack" });
    return tree?.accountOf("1000");
  };
  expect(account()).toEqual({ uid: 1000, gid: 1000, groups: [50], home: "/home/u" });
  for (const file of ["group", "passwd"]) {
    const upper = join(path, "layer@1/etc", file);
    writeFileSync(upper, "");
    truncateSync(upper, TOO_LARGE_BYTES);
    expect(account).toThrow("Could not read the image: File too large");
    rmSync(upper);
  }
  rmSync(path, { recursive: true });
});

test("a clone of a stack has its layers; an incomplete clone is removed, and an existing target stays", () => {
  const path = stack();
  symlinkSync("/elsewhere", join(path, "layer@2"));
  const clone = `${path}-clone`;
  cloneStack(path, clone);
  expect(readdirSync(clone).sort()).toEqual(["layer@0", "layer@1", "layer@2", "rw"]);
  const targets = ["layer@1", "layer@2"].map((layer) => readlinkSync(join(clone, layer)));
  expect(targets).toEqual([`../${basename(path)}/layer@1`, "/elsewhere"]);
  expect(() => cloneStack(path, clone)).toThrow("EEXIST");
  expect(readdirSync(clone).length).toBe(4);
  rmSync(clone, { recursive: true });
  // The uppermost layers are linked first.
  writeFileSync(join(path, "layer@00"), "no layer");
  expect(() => cloneStack(path, clone)).toThrow("EINVAL");
  expect(existsSync(clone)).toBe(false);
  expect(existsSync(join(path, "layer@0/etc/passwd"))).toBe(true);
  rmSync(path, { recursive: true });
});
