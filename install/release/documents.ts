// The list of all that is inside, and the terms of its authors.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { checksums } from "./archive.ts";
import { compilerVersions } from "./notices/c-parts.ts";
import { notices } from "./notices/notices.ts";
import type { Metafile } from "./notices/npm-parts.ts";
import type { Part } from "./notices/part.ts";
import { allParts } from "./notices/parts.ts";
import { sbom } from "./notices/sbom.ts";
import { TOP, version } from "./project.ts";
import type { Release } from "./release.ts";
import { TARGETS } from "./targets.ts";

export const NOTICES = "THIRD-PARTY-NOTICES";

/** The list's name: programs know CycloneDX by it. */
export const SBOM = `machined-${version}.cdx.json`;

/** Writes both files, for the executables that are in the release's folder. */
export async function buildDocuments(release: Release): Promise<void> {
  const { folder, sourceDate } = release;
  const parts = partsOfAll(release);
  writeFileSync(join(folder, NOTICES), notices(version, parts));
  const names = TARGETS.map(({ name }) => `machined-linux-${name}`);
  const executables = (await checksums(folder, names))
    .trimEnd()
    .split("\n")
    .map((line) => {
      const [sha256 = "", name = ""] = line.split("  ");
      return { name, sha256 };
    });
  writeFileSync(join(folder, SBOM), sbom({ version, sourceDate, parts, executables }));
}

/** The parts of all executables; what several have is listed once. */
export function partsOfAll({ work }: Release): Part[] {
  const parts = new Map<string, Part>();
  for (const { name, gnu } of TARGETS) {
    const metafile = JSON.parse(readFileSync(join(work, `${name}.json`), "utf8")) as Metafile;
    const compiler = compilerVersions(gnu);
    for (const part of allParts({ top: TOP, metafile, versions: process.versions, compiler })) {
      parts.set(`${part.name}@${part.version}`, part);
    }
  }
  return [...parts.values()];
}
