// All that the executable contains of others.
import { cParts } from "./c-parts.ts";
import { engineParts } from "./engine-parts.ts";
import { CARRIED, type Metafile, npmPart, packageFolders } from "./npm-parts.ts";
import type { Part } from "./part.ts";

interface Ingredients {
  /** The project's folder. */
  readonly top: string;
  readonly metafile: Metafile;
  /** `process.versions` of Bun. */
  readonly versions: Readonly<Record<string, string | undefined>>;
  readonly compiler: { readonly compiler: string; readonly libc: string };
}

/** All parts, ours not among them. What is carried counts only while what carries it is bundled. */
export function allParts({ top, metafile, versions, compiler }: Ingredients): Part[] {
  const packages = packageFolders(metafile).map((folder) => npmPart(top, folder));
  const names = new Set(packages.map(({ name }) => name));
  const carried = CARRIED.filter(({ within }) => within !== undefined && names.has(within));
  return [...packages, ...carried, ...engineParts(versions), ...cParts(compiler.compiler, compiler.libc)];
}
