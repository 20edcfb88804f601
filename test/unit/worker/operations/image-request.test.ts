// Which image a worker works on: the one that the daemon found, by its identity.
import { describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, renameSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { layoutBelow } from "../../../../src/registry/image/layout.ts";
import { ImageSearch } from "../../../../src/registry/image/search.ts";
import { imageOf } from "../../../../src/worker/operations/image-request.ts";

describe("an image that a worker is to change", () => {
  const root = mkdtempSync(join(tmpdir(), "image-request-"));
  const pool = join(root, "var/lib/machines");
  const layout = layoutBelow(root);
  mkdirSync(join(pool, "tree"), { recursive: true });
  const found = new ImageSearch(layout.searchPath).find("tree");
  if (found === null) throw new Error("the tree is no image");
  const target = { name: found.name, path: found.path, identity: found.facts.identity };

  test("is the one that the daemon found, also when its content has changed meanwhile", () => {
    mkdirSync(join(pool, "tree/etc"));
    expect(imageOf({ layout, target }).path).toBe(found.path);
  });

  test("is not another one that has the same name and path now", () => {
    renameSync(join(pool, "tree"), join(root, "old"));
    mkdirSync(join(pool, "tree"));
    expect(() => imageOf({ layout, target })).toThrow("No image 'tree' known");
    rmSync(root, { recursive: true });
  });
});
