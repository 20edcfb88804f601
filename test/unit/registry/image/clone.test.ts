// A clone of an image that another program changes meanwhile.
import { expect, test } from "bun:test";
import { closeSync, mkdirSync, openSync, readdirSync, truncateSync, writeSync } from "node:fs";
import { join } from "node:path";
import { cloneImage } from "../../../../src/registry/image/clone.ts";
import { ImageSearch } from "../../../../src/registry/image/search.ts";
import { scratchDirectory } from "../../../kernel/support.ts";

const pool = join(scratchDirectory(), "machines");

test("a disk image that becomes shorter while it is cloned is an error, and no clone with zeros in it", () => {
  mkdirSync(pool);
  const path = join(pool, "disk.raw");
  const file = openSync(path, "w");
  for (const position of [0, 8 << 20]) writeSync(file, Buffer.alloc(1 << 20, "x"), 0, 1 << 20, position);
  closeSync(file);
  const layout = { searchPath: [pool], hasHost: false, pool, locks: null, settings: [] };
  const search = new ImageSearch(layout.searchPath, layout);
  const image = search.find("disk");
  if (image === null) throw new Error("no image");
  const onProgress = () => truncateSync(path, 1 << 20);
  expect(() => cloneImage(layout, search, image, { newName: "copy", readOnly: false }, { onProgress })).toThrow(
    `copy "${path}": Input/output error`,
  );
  expect(readdirSync(pool)).toEqual(["disk.raw"]);
});
