// Files that are generated from the tables are what `npm run docs` would write now.
import { expect, test } from "bun:test";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { generatedFiles } from "../../install/generate/files.ts";
import { havePrograms } from "../lib/programs.ts";

const TOP = join(import.meta.dir, "../..");

function current(path: string): string | null {
  const file = join(TOP, path);
  return existsSync(file) ? readFileSync(file, "utf8") : null;
}

const files = await generatedFiles((path) => readFileSync(join(TOP, path), "utf8"));
for (const [path, text] of Object.entries(files)) {
  test(`${path} is up to date with the tables (npm run docs)`, () => {
    expect(current(path)).toBe(text);
  });
}

const hasMandoc = havePrograms("warnings in manual pages", "mandoc");
const MANUALS = join(TOP, "install/man");
for (const page of readdirSync(MANUALS).filter((name) => /\.[1-8]$/.test(name))) {
  test.skipIf(!hasMandoc)(`man prints no warning about the manual page ${page}`, () => {
    const { stdout, stderr } = Bun.spawnSync(["mandoc", "-Tlint", join(MANUALS, page)]);
    expect(`${stdout}${stderr}`).toBe("");
  });
}
