// /usr/local/lib/machined/manifest.json: the list of files that `machined install` has made, so that `machined
// uninstall` removes exactly these. It is written before the first file, so that an interrupted installation can be
// removed, too.

import { readFileSync } from "node:fs";
import { exists, writeText } from "./disk.ts";
import type { Host } from "./host.ts";
import { SetupError } from "./setup-error.ts";

export const MANIFEST = "/usr/local/lib/machined/manifest.json";

/** A file, link or directory that was made. */
export type Made =
  | { readonly kind: "directory"; readonly path: string }
  | { readonly kind: "file"; readonly path: string; readonly sha256: string }
  | { readonly kind: "link"; readonly path: string; readonly target: string };

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
