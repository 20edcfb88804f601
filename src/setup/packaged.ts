// Installation from a package (deb, rpm). The package contains the files below /usr/lib/machined/host, under their
// paths on the host; where `machined install` would write a file, it makes a link to that of the package. The package's
// scripts call `machined install`, because only on the host is it known which files are missing there.
import { basename, dirname, join } from "node:path";
import { INSTALLED_PROGRAM, PACKAGED_PROGRAM } from "../base/vocabulary/installation.ts";
import type { Wanted } from "./wanted.ts";

/** The package's directory: the executable, links to it, and the files. */
const PACKAGE = dirname(PACKAGED_PROGRAM);
const CARRIED = join(PACKAGE, "host");
const LOCAL = dirname(INSTALLED_PROGRAM);
/** Where units are. A unit that is a link to another directory would be removed by `systemctl disable`. */
const UNITS = "/etc/systemd/";

/** Whether an executable belongs to a package, so that it is not copied. */
export function isPackaged(source: string): boolean {
  return source === PACKAGED_PROGRAM;
}

/**
 * Converts the files of an installation to those for a host with the package: units, and links to the package's files.
 */
export function asPackaged(wanted: readonly Wanted[]): Wanted[] {
  return wanted.flatMap((one): Wanted[] => {
    if (dirname(one.path) === LOCAL) return [];
    if (one.kind === "link") return [{ ...one, target: ownTarget(one.path, one.target) }];
    if (one.kind === "program") return [one];
    if (one.dependsOnHost === true || one.path.startsWith(UNITS))
      return [{ ...one, text: one.text.replaceAll(LOCAL, PACKAGE) }];
    const { path, target } = carried(one.path);
    return [{ kind: "link", path, target }];
  });
}

/** Returns the contents of a package: files with their texts, and links to the executable. */
export function packageContents(wanted: readonly Wanted[]): Exclude<Wanted, { kind: "program" }>[] {
  return wanted.flatMap((one): Exclude<Wanted, { kind: "program" }>[] => {
    if (one.kind === "link") {
      return dirname(one.path) === LOCAL ? [{ ...one, path: join(PACKAGE, basename(one.path)) }] : [];
    }
    if (one.kind === "program" || one.dependsOnHost === true) return [];
    return [{ kind: "file", path: carried(one.path).target, text: one.text.replaceAll(LOCAL, PACKAGE) }];
  });
}

/**
 * Returns the path of a link on the host, and of the package's file that it leads to. Manual pages have the suffix .gz.
 */
function carried(place: string): { readonly path: string; readonly target: string } {
  const path = /\/man\/man\d\//.test(place) ? `${place}.gz` : place;
  return { path, target: join(CARRIED, path) };
}

/** Replaces the directory of a copied installation in the target of a link by that of the package. */
function ownTarget(path: string, target: string): string {
  const absolute = join(dirname(path), target);
  if (target.startsWith(`${LOCAL}/`)) return target.replace(LOCAL, PACKAGE);
  return absolute === INSTALLED_PROGRAM ? PACKAGED_PROGRAM : target;
}
