// A package of a distribution (deb, rpm) owns its files: they stand below /usr/lib/machined, under their names on the host,
// and what `machined install` would write is a link to them. The package's scripts call `machined install`, because only
// the host tells what it lacks; so nothing of the distribution is overwritten, and uninstalling takes the links away.
import { basename, dirname, join } from "node:path";
import type { Wanted } from "./wanted.ts";

/** The package's own folder: the executable, its other names, and the files. */
const PACKAGE = "/usr/lib/machined";
const CARRIED = join(PACKAGE, "host");
const LOCAL = "/usr/local/lib/machined";
const LOCAL_PROGRAM = `${LOCAL}/machined`;

/** The executable of a package. */
export const PACKAGED_PROGRAM = `${PACKAGE}/machined`;

/** Whether an executable is a package's, which is not copied. */
export function isPackaged(source: string): boolean {
  return source === PACKAGED_PROGRAM;
}

/** What is wanted of an installation that a package carries. */
export function asPackaged(wanted: readonly Wanted[]): Wanted[] {
  return wanted.flatMap((one): Wanted[] => {
    if (dirname(one.path) === LOCAL) return [];
    if (one.kind === "link") return [{ ...one, target: ownTarget(one.path, one.target) }];
    if (one.kind === "program") return [one];
    if (one.dependsOnHost === true) return [{ ...one, text: one.text.replaceAll(LOCAL, PACKAGE) }];
    const { path, target } = carried(one.path);
    return [{ kind: "link", path, target }];
  });
}

/** What a package holds: files with their texts, and the other names of the executable. */
export function packageContents(wanted: readonly Wanted[]): Exclude<Wanted, { kind: "program" }>[] {
  return wanted.flatMap((one): Exclude<Wanted, { kind: "program" }>[] => {
    if (one.kind === "link") {
      return dirname(one.path) === LOCAL ? [{ ...one, path: join(PACKAGE, basename(one.path)) }] : [];
    }
    if (one.kind === "program" || one.dependsOnHost === true) return [];
    return [{ kind: "file", path: carried(one.path).target, text: one.text.replaceAll(LOCAL, PACKAGE) }];
  });
}

/** The place of a link, and of the file that it leads to. Manual pages are compressed, which their names say. */
function carried(place: string): { readonly path: string; readonly target: string } {
  const path = /\/man\/man\d\//.test(place) ? `${place}.gz` : place;
  return { path, target: join(CARRIED, path) };
}

function ownTarget(path: string, target: string): string {
  const absolute = join(dirname(path), target);
  if (target.startsWith(`${LOCAL}/`)) return target.replace(LOCAL, PACKAGE);
  return absolute === LOCAL_PROGRAM ? PACKAGED_PROGRAM : target;
}
