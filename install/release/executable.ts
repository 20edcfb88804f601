// Builds the executable for one target, on any machine.
import { mkdirSync, mkdtempSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { build } from "../build.ts";
import { unpackBun } from "./bun-package.ts";
import { compilerOf } from "./programs.ts";
import type { ReleaseTarget } from "./targets.ts";

/** The file name under which every executable is built, because it is part of the file. */
const NAME = "machined";

/** Builds the executable for a target as `outfile`, and writes the bundler's list of modules to `metafile`. */
export function buildExecutable(target: ReleaseTarget, outfile: string, metafile: string): void {
  const folder = join(outfile, "..");
  mkdirSync(folder, { recursive: true });
  const scratch = mkdtempSync(join(folder, ".executable-"));
  try {
    const machine = {
      bunTarget: target.bunTarget,
      bun: unpackBun(target.bunPackage, join(scratch, "bun")),
      compiler: compilerOf(target.gnu),
      hasNss: target.libc === "glibc",
    };
    renameSync(build(join(scratch, NAME), { machine, metafile }), outfile);
  } finally {
    rmSync(scratch, { recursive: true });
  }
}
