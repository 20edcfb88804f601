// What `clean` removes beside images.
import { afterAll, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { OCI_REPOSITORIES_FILE } from "../../../../src/base/vocabulary/temporary.ts";
import { cleanPool } from "../../../../src/registry/image/clean.ts";
import { layoutBelow } from "../../../../src/registry/image/layout.ts";
import { ImageSearch } from "../../../../src/registry/image/search.ts";

const root = mkdtempSync(join(tmpdir(), "machined-clean-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));
const pool = join(root, "var/lib/machines");

test("the note of the repositories of layers goes with the last layer", () => {
  const layout = { ...layoutBelow(root), locks: null };
  const search = new ImageSearch(layout.searchPath, layout);
  mkdirSync(join(pool, `.oci-sha256:${"a".repeat(64)}`), { recursive: true });
  mkdirSync(join(pool, "web"));
  writeFileSync(join(pool, OCI_REPOSITORIES_FILE), "");
  const [layer] = cleanPool(layout, search, "hidden");
  expect(layer?.name).toBe(`.oci-sha256:${"a".repeat(64)}`);
  expect(readdirSync(pool)).toEqual(["web"]);
});
