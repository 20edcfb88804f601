// The account of an image's program, looked up in the layers of a stack.
import { expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ImageTree } from "../../../../src/cli/run/image-tree.ts";

const TOO_LARGE_BYTES = 17 << 20;

/** Makes a stack of two layers; the lower one has the user database. */
function stack(): string {
  const path = mkdtempSync(join(tmpdir(), "machined-stack-"));
  for (const layer of ["layer@0", "layer@1"]) mkdirSync(join(path, layer, "etc"), { recursive: true });
  writeFileSync(join(path, "layer@0/etc/passwd"), "u:x:1000:1000::/home/u:/bin/sh\n");
  writeFileSync(join(path, "layer@0/etc/group"), "log:x:50:u\n");
  return path;
}

test("a file that the upper layer lacks is the lower layer's; one that cannot be read is an error", () => {
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
