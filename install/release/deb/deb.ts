// Builds the Debian packages. Their trees are made here and packed by dpkg-deb; there is no source package.
import { chmodSync, copyFileSync, lutimesSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { run } from "../command.ts";
import { guidesBelow, NOTICES, partsOfAll, SBOM } from "../documents.ts";
import { makeTree } from "../package/contents.ts";
import { requiredGlibc } from "../package/texts.ts";
import { objdumpOf } from "../programs.ts";
import { maintainer, TOP, version } from "../project.ts";
import type { Release } from "../release.ts";
import { PACKAGED_TARGETS, type ReleaseTarget } from "../targets.ts";
import { control, debianChangelog, debianVersion, inventory } from "./control.ts";
import { copyright } from "./copyright.ts";

const DOC = "/usr/share/doc/machined";
/** The maintainer scripts. */
const SCRIPTS = ["postinst", "prerm", "postrm"];

/** Makes `machined_VERSION_ARCHITECTURE.deb` from each executable for glibc. */
export function buildDebs(release: Release): void {
  for (const target of PACKAGED_TARGETS) buildDeb(release, target);
}

function buildDeb(release: Release, target: ReleaseTarget): void {
  const { folder, work, sourceDate } = release;
  const root = join(work, `deb-${target.debian}`);
  const executable = join(folder, `machined-linux-${target.name}`);
  mkdirSync(root);
  const read = (path: string) => readFileSync(join(folder, path), "utf8");
  makeTree(root, {
    executable,
    sourceDate,
    files: {
      ...guidesBelow(DOC),
      [`${DOC}/${NOTICES}.gz`]: read(NOTICES),
      [`${DOC}/${SBOM}.gz`]: read(SBOM),
      [`${DOC}/changelog.gz`]: readFileSync(join(TOP, "CHANGELOG.md"), "utf8"),
      [`${DOC}/changelog.Debian.gz`]: debianChangelog(version, maintainer(), sourceDate),
      [`${DOC}/copyright`]: copyright(readFileSync(join(TOP, "LICENSE"), "utf8"), partsOfAll(release)),
      "/usr/share/lintian/overrides/machined": readFileSync(join(import.meta.dir, "lintian-overrides")),
    },
  });
  const glibc = requiredGlibc(run([objdumpOf(target.gnu), "-p", executable]));
  const { sizeBytes, md5sums } = inventory(root);
  const metadata = join(root, "DEBIAN");
  mkdirSync(metadata);
  writeFileSync(
    join(metadata, "control"),
    control({ version, architecture: target.debian, maintainer: maintainer(), glibc, sizeBytes }),
  );
  writeFileSync(join(metadata, "md5sums"), md5sums);
  for (const script of SCRIPTS) copyFileSync(join(import.meta.dir, script), join(metadata, script));
  for (const name of ["control", "md5sums", ...SCRIPTS, ""]) {
    chmodSync(join(metadata, name), name === "control" || name === "md5sums" ? 0o644 : 0o755);
    lutimesSync(join(metadata, name), sourceDate, sourceDate);
  }
  lutimesSync(root, sourceDate, sourceDate);
  // Level 1, because higher ones take minutes to save a tenth. The number of threads is fixed, because the division of
  // the data into blocks may depend on it.
  run(
    [
      "dpkg-deb",
      "--root-owner-group",
      "-Zxz",
      "-z1",
      "--threads-max=2",
      "--build",
      root,
      join(folder, `machined_${debianVersion(version)}_${target.debian}.deb`),
    ],
    { env: { SOURCE_DATE_EPOCH: String(sourceDate) } },
  );
  rmSync(root, { recursive: true });
}
