// The list of all third-party parts of the executable.
import { cParts } from "./c-parts.ts";
import { engineParts } from "./engine-parts.ts";
import { CARRIED, type Metafile, npmPart, packageFolders } from "./npm-parts.ts";
import type { Part } from "./part.ts";

/** Parameters of allParts(). */
interface Ingredients {
  /** The project's directory. */
  readonly top: string;
  readonly metafile: Metafile;
  /** `process.versions` of Bun. */
  readonly versions: Readonly<Record<string, string | undefined>>;
  readonly compiler: { readonly compiler: string; readonly libc: string };
}

/** Returns all third-party parts. Those inside other packages are included only if these packages are. */
export function allParts({ top, metafile, versions, compiler }: Ingredients): Part[] {
  const packages = packageFolders(metafile).map((folder) => npmPart(top, folder));
  const names = new Set(packages.map(({ name }) => name));
  const carried = CARRIED.filter(({ within }) => within !== undefined && names.has(within));
  return [...packages, ...carried, ...engineParts(versions), ...cParts(compiler.compiler, compiler.libc)];
}
