// Writes all files that are generated from the tables of verbs, options, interfaces and rooms: `npm run docs`. With
// --check it writes nothing, and fails if a file differs from what would be written; the contract tests check the same.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { generatedFiles } from "./generate/files.ts";

const TOP = join(import.meta.dir, "..");

function current(path: string): string | null {
  try {
    return readFileSync(join(TOP, path), "utf8");
  } catch {
    return null;
  }
}

const files = await generatedFiles((path) => readFileSync(join(TOP, path), "utf8"));
const stale = Object.entries(files).filter(([path, text]) => current(path) !== text);
if (process.argv.includes("--check")) {
  for (const [path] of stale) console.error(`${path} differs from what its tables generate: run 'npm run docs'`);
  process.exit(stale.length === 0 ? 0 : 1);
}
for (const [path, text] of stale) {
  writeFileSync(join(TOP, path), text);
  console.log(`wrote ${path}`);
}
