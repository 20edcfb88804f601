// Makes a release: `npm run release` → dist/release, or the directory that is given as argument. See docs/release.md.
//
// Nothing in it depends on the machine's clock, paths or user: two builds of one commit are identical.
import { mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { checksums } from "./release/archive.ts";
import { buildDebs } from "./release/deb/deb.ts";
import { buildDocuments } from "./release/documents.ts";
import { buildExecutable } from "./release/executable.ts";
import { provideReleasePrograms } from "./release/programs.ts";
import { sourceDate, TOP } from "./release/project.ts";
import type { Release } from "./release/release.ts";
import { ReleaseError } from "./release/release-error.ts";
import { buildRpms } from "./release/rpm/rpm.ts";
import { buildTarballs } from "./release/tarball.ts";
import { TARGETS } from "./release/targets.ts";

const SUMS = "SHA256SUMS";

/** Makes the release in a temporary directory, and replaces `folder` by it. */
async function main(folder: string): Promise<void> {
  provideReleasePrograms();
  mkdirSync(dirname(folder), { recursive: true });
  const scratch = mkdtempSync(join(dirname(folder), ".release-"));
  try {
    await make({ folder: join(scratch, "release"), work: join(scratch, "work"), sourceDate: sourceDate() });
    rmSync(folder, { recursive: true, force: true });
    renameSync(join(scratch, "release"), folder);
  } finally {
    rmSync(scratch, { recursive: true });
  }
}

async function make(release: Release): Promise<void> {
  const { folder, work } = release;
  mkdirSync(folder);
  mkdirSync(work);
  for (const target of TARGETS) {
    console.log(`building for linux-${target.name}`);
    const executable = join(folder, `machined-linux-${target.name}`);
    buildExecutable(target, executable, join(work, `${target.name}.json`));
  }
  await buildDocuments(release);
  buildTarballs(release);
  buildDebs(release);
  buildRpms(release);
  writeFileSync(join(folder, SUMS), await checksums(folder, readdirSync(folder)));
}

function list(folder: string): void {
  for (const name of readdirSync(folder).sort()) {
    const size = (statSync(join(folder, name)).size / (1 << 20)).toFixed(1);
    console.log(`${size.padStart(7)} MiB  ${name}`);
  }
}

const folder = resolve(process.argv[2] ?? join(TOP, "dist/release"));
try {
  await main(folder);
  console.log(folder);
  list(folder);
} catch (error) {
  if (!(error instanceof ReleaseError)) throw error;
  console.error(`npm run release: ${error.message}`);
  process.exit(1);
}
