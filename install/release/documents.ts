// Writes the list of all parts of the executables (SBOM), and the notices with their licences.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { checksums } from "./archive.ts";
import { shippedText } from "./links.ts";
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

/** The file name of the SBOM; its suffix is that of CycloneDX. */
export const SBOM = `machined-${version}.cdx.json`;

/** The files of `docs` for administrators. Releases and packages contain them, and manual pages refer to them. */
export const GUIDES: readonly string[] = [
  "actions",
  "events",
  "exec",
  "fleet",
  "json",
  "machine-managers",
  "many-hosts",
  "metrics",
].map((name) => `${name}.md`);

/** Returns the guides as files of a package, below `folder`. */
export function guidesBelow(folder: string): Record<string, Buffer> {
  const shipped = new Set(GUIDES.map((name) => `docs/${name}`));
  return Object.fromEntries(
    GUIDES.map((name) => [`${folder}/${name}`, Buffer.from(shippedText(`docs/${name}`, shipped))]),
  );
}

/** Writes both files for the executables in the release's folder. */
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

/** Returns the parts of all executables, each once. */
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
