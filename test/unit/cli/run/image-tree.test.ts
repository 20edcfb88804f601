// What `run` reads from the files of an image: one tree, or a stack of layers.
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { ImageTree } from "../../../../src/cli/run/image-tree.ts";

const isRoot = process.geteuid?.() === 0;
let scratch = "";
beforeAll(() => {
  scratch = mkdtempSync(join(tmpdir(), "image-tree-"));
});
afterAll(() => rmSync(scratch, { recursive: true }));

function put(path: string, text: string): void {
  mkdirSync(dirname(join(scratch, path)), { recursive: true });
  writeFileSync(join(scratch, path), text);
}

test("files that a machine wrote are preferred to those of the layers, and upper layers to lower ones", () => {
  put("layers/0/etc/passwd", "web:x:10:10::/low:/bin/sh\n");
  put("layers/0/sbin/init", "");
  put("layers/1/etc/passwd", "web:x:11:11::/upper:/bin/sh\n");
  mkdirSync(join(scratch, "web.mstack"));
  for (const number of [0, 1]) symlinkSync(`../layers/${number}`, join(scratch, `web.mstack/layer@${number}`));
  const place = { path: join(scratch, "web.mstack"), type: "mstack" } as const;
  {
    using tree = ImageTree.open(place);
    expect(tree?.accountOf("web")).toMatchObject({ uid: 11, home: "/upper" });
    expect([tree?.has("/sbin/init"), tree?.has("/added")]).toEqual([true, false]);
  }
  put("web.mstack/rw/data/etc/passwd", "web:x:12:12::/written:/bin/sh\nnew:x:13:13::/new:/bin/sh\n");
  put("web.mstack/rw/data/added", "");
  mkdirSync(join(scratch, "web.mstack/rw/work"));
  // The machine removed the file: overlayfs records that as a device 0:0.
  if (isRoot) Bun.spawnSync(["mknod", join(scratch, "web.mstack/rw/data/removed"), "c", "0", "0"]);
  put("layers/1/removed", "");
  using tree = ImageTree.open(place);
  if (isRoot) expect(tree?.has("/removed")).toBe(false);
  expect(tree?.accountOf("web")).toMatchObject({ uid: 12, home: "/written" });
  expect(tree?.accountOf("new")).toMatchObject({ uid: 13 });
  // The directory `work` of overlayfs and the names `work` and `data` are not part of the machine's tree.
  expect([tree?.has("/added"), tree?.has("/work"), tree?.has("/data")]).toEqual([true, false, false]);
});
