// Builds the RPM packages by rpmbuild from machined.spec.in. All macros are set whose defaults would make the package
// depend on the machine on which it is built.
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { run } from "../command.ts";
import { guidesBelow, NOTICES, SBOM } from "../documents.ts";
import { makeTree } from "../package/contents.ts";
import { DESCRIPTION, SUMMARY, wrap } from "../package/texts.ts";
import { maintainer, TOP, version } from "../project.ts";
import type { Release } from "../release.ts";
import { PACKAGED_TARGETS, type ReleaseTarget } from "../targets.ts";

const DOC = "/usr/share/doc/machined";
const RELEASE = 1;
const WIDTH = 79;

/** Returns a version in RPM's form, in which `1.0.0~rc.1` sorts before `1.0.0`. */
export function rpmVersion(text: string): string {
  return text.replace("-", "~");
}

/** Returns the text of the spec file; `tree` is the directory with the package's files. */
export function spec(tree: string): string {
  const values: Readonly<Record<string, string>> = {
    VERSION: rpmVersion(version),
    SUMMARY: SUMMARY.replace(/^./, (letter) => letter.toUpperCase()),
    MAINTAINER: maintainer(),
    DESCRIPTION: DESCRIPTION.map((paragraph) => wrap(paragraph, WIDTH).join("\n")).join("\n\n"),
    TREE: tree,
  };
  const template = readFileSync(join(import.meta.dir, "machined.spec.in"), "utf8");
  return template.replaceAll(/@([A-Z]+)@/g, (_, name: string) => {
    const value = values[name];
    if (value === undefined) throw new Error(`machined.spec.in contains '@${name}@', for which there is no value`);
    return value;
  });
}

/** Makes `machined-VERSION-1.ARCHITECTURE.rpm` from each executable for glibc. */
export function buildRpms(release: Release): void {
  for (const target of PACKAGED_TARGETS) buildRpm(release, target);
}

function buildRpm({ folder, work, sourceDate }: Release, target: ReleaseTarget): void {
  const top = join(work, `rpm-${target.gnu}`);
  const tree = join(top, "tree");
  mkdirSync(tree, { recursive: true });
  const read = (path: string) => readFileSync(path, "utf8");
  makeTree(tree, {
    executable: join(folder, `machined-linux-${target.name}`),
    sourceDate,
    files: {
      ...guidesBelow(DOC),
      [`${DOC}/LICENSE`]: read(join(TOP, "LICENSE")),
      [`${DOC}/CHANGELOG.md`]: read(join(TOP, "CHANGELOG.md")),
      [`${DOC}/${NOTICES}`]: read(join(folder, NOTICES)),
      [`${DOC}/${SBOM}`]: read(join(folder, SBOM)),
    },
  });
  const file = join(top, "machined.spec");
  writeFileSync(file, spec(tree));
  const macros = {
    _topdir: top,
    _dbpath: join(top, "db"),
    _buildhost: "reproducible",
    _binary_payload: "w3.zstdio",
    use_source_date_epoch_as_buildtime: "1",
    clamp_mtime_to_source_date_epoch: "1",
    source_date_epoch_from_changelog: "0",
  };
  const defines = Object.entries(macros).flatMap(([name, value]) => ["--define", `${name} ${value}`]);
  const env = { SOURCE_DATE_EPOCH: String(sourceDate) };
  run(["rpmbuild", "-bb", `--target=${target.gnu}-linux`, ...defines, file], { env });
  const name = `machined-${rpmVersion(version)}-${RELEASE}.${target.gnu}.rpm`;
  renameSync(join(top, "RPMS", target.gnu, name), join(folder, name));
  rmSync(top, { recursive: true });
}
