// /usr/local/lib/machined/manifest.json: the list of files that `machined install` has made, so that `machined
// uninstall` removes exactly these. It is written before the first file, so that an interrupted installation can be
// removed, or be completed by the next one.

import { readFileSync } from "node:fs";
import { exists, writeText } from "./disk.ts";
import { SetupError } from "./error.ts";
import type { Host } from "./host.ts";

export const MANIFEST = "/usr/local/lib/machined/manifest.json";

/** A file, link or directory that was made. */
export type Made = MadeDirectory | (MadeFile & { readonly unfinished?: Unfinished });

interface MadeDirectory {
  readonly kind: "directory";
  readonly path: string;
}

type MadeFile =
  | { readonly kind: "file"; readonly path: string; readonly sha256: string }
  | { readonly kind: "link"; readonly path: string; readonly target: string };

/**
 * Recorded while a file or link is made or removed; stays in the manifest if that is interrupted. The file may then be
 * missing although nobody has removed it, or still be `was`, that of the installation before.
 */
interface Unfinished {
  readonly was: Made | null;
}

/** Returns the entry for a file that is about to be made in place of `was`, or to be removed. */
export function unfinished(made: Made, was: Made | null): Made {
  return made.kind === "directory" ? made : { ...made, unfinished: { was } };
}

/** Returns an entry, and those of earlier installations whose file may still be in its place. */
export function versionsOf(made: Made): Made[] {
  const was = made.kind === "directory" ? null : (made.unfinished?.was ?? null);
  return was === null ? [made] : [made, ...versionsOf(was)];
}

/** Whether the file of an entry may be missing because its making or removal was interrupted. */
export function isUnfinished(made: Made): boolean {
  return made.kind !== "directory" && made.unfinished !== undefined;
}

const FORMAT = 1;

/** Returns what an earlier installation has made, in that order; empty if there was none. Throws a SetupError. */
export function readManifest(host: Host): Made[] {
  const path = host.locate(MANIFEST);
  if (!exists(path)) return [];
  const manifest: unknown = parse(path);
  if (!isManifest(manifest)) {
    throw new SetupError(`'${path}' is not a manifest of this program: use the version of machined that wrote it`);
  }
  return manifest.made;
}

/** Writes the manifest. */
export function writeManifest(host: Host, made: readonly Made[]): void {
  writeText(host.locate(MANIFEST), `${JSON.stringify({ format: FORMAT, made }, null, 2)}\n`);
}

function parse(path: string): unknown {
  try {
    return JSON.parse(readFileSync(path, "utf8"));
  } catch (error) {
    throw new SetupError(`Cannot read '${path}': ${error instanceof Error ? error.message : error}`, { cause: error });
  }
}

function isManifest(value: unknown): value is { made: Made[] } {
  if (typeof value !== "object" || value === null) return false;
  if (!("format" in value && value.format === FORMAT && "made" in value && Array.isArray(value.made))) return false;
  return value.made.every(isMade);
}

function isMade(value: unknown): value is Made {
  if (typeof value !== "object" || value === null || !("path" in value && "kind" in value)) return false;
  if (typeof value.path !== "string" || !value.path.startsWith("/") || value.path.split("/").includes(".."))
    return false;
  if ("unfinished" in value && !isUnfinishedRecord(value.unfinished)) return false;
  switch (value.kind) {
    case "directory":
      return true;
    case "file":
      return "sha256" in value && typeof value.sha256 === "string";
    case "link":
      return "target" in value && typeof value.target === "string";
    default:
      return false;
  }
}

function isUnfinishedRecord(value: unknown): value is Unfinished {
  return typeof value === "object" && value !== null && "was" in value && (value.was === null || isMade(value.was));
}
