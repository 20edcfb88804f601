// What `clean` removes beside images.
import { afterAll, expect, test } from "bun:test";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
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

test("a layer stays that a stack names by an absolute path, also where the pool is elsewhere", () => {
  const host = join(root, "host");
  const layout = { ...layoutBelow(host), locks: null };
  const search = new ImageSearch(layout.searchPath, layout);
  const elsewhere = join(root, "elsewhere");
  mkdirSync(join(host, "var/lib"), { recursive: true });
  mkdirSync(elsewhere);
  symlinkSync(elsewhere, layout.pool);
  const [used, unused] = ["a", "b"].map((digit) => `.oci-sha256:${digit.repeat(64)}`) as [string, string];
  for (const name of [used, unused, "web.mstack"]) mkdirSync(join(layout.pool, name));
  symlinkSync(join(layout.pool, used), join(layout.pool, "web.mstack/layer@0"));
  symlinkSync("../missing", join(layout.pool, "web.mstack/layer@1"));
  expect(cleanPool(layout, search, "hidden").map(({ name }) => name)).toEqual([unused]);
  expect(existsSync(join(elsewhere, used))).toBe(true);
});
