// Makes the files that describe a Debian package: control, changelog, md5sums.
import { createHash } from "node:crypto";
import { lstatSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { filesOf } from "../package/contents.ts";
import { DESCRIPTION, SUMMARY, wrap } from "../package/texts.ts";

const WIDTH = 78;

/** Returns a version in Debian's form, in which `1.0.0~rc.1` sorts before `1.0.0`. */
export function debianVersion(version: string): string {
  return `${version.replace("-", "~")}-1`;
}

interface ControlOptions {
  readonly version: string;
  readonly architecture: string;
  readonly maintainer: string;
  readonly glibc: string;
  readonly sizeBytes: number;
}

/** Returns the text of the file `control`. */
export function control({ version, architecture, maintainer, glibc, sizeBytes }: ControlOptions): string {
  return [
    "Package: machined",
    `Version: ${debianVersion(version)}`,
    `Architecture: ${architecture}`,
    `Maintainer: ${maintainer}`,
    `Installed-Size: ${Math.ceil(sizeBytes / 1024)}`,
    `Depends: libc6 (>= ${glibc})`,
    "Recommends: dbus, polkitd, systemd-container",
    "Suggests: libnss-mymachines",
    "Section: admin",
    "Priority: optional",
    `Description: ${SUMMARY}`,
    DESCRIPTION.map((paragraph) =>
      wrap(paragraph, WIDTH)
        .map((line) => ` ${line}`)
        .join("\n"),
    ).join("\n .\n"),
    "",
  ].join("\n");
}

/** Returns the package's changelog, which has one entry that refers to the changelog of the project. */
export function debianChangelog(version: string, maintainer: string, sourceDate: number): string {
  const date = new Date(sourceDate * 1000).toUTCString().replace("GMT", "+0000");
  return `machined (${debianVersion(version)}) unstable; urgency=medium\n\n  * Release ${version}; see changelog.gz.\n\n -- ${maintainer}  ${date}\n`;
}

/** Returns the total size of a tree's files, and the text of the file `md5sums`. */
export function inventory(root: string): { readonly sizeBytes: number; readonly md5sums: string } {
  let sizeBytes = 0;
  const lines: string[] = [];
  for (const path of filesOf(root)) {
    const status = lstatSync(join(root, path));
    sizeBytes += status.size;
    if (!status.isFile()) continue;
    const md5 = createHash("md5")
      .update(readFileSync(join(root, path)))
      .digest("hex");
    lines.push(`${md5}  ${path.slice(1)}\n`);
  }
  return { sizeBytes, md5sums: lines.join("") };
}
