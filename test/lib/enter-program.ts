// Builds the program that enters machines, for tests that run from the sources before a build.
import { mkdtempSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { buildEnterProgram } from "../../install/build.ts";

const SOURCES = join(import.meta.dir, "../../src/exec");

/** Compiles src/exec/enter to the file that src/exec/helper.ts imports. Throws if that is not possible. */
export function provideEnterProgram(): void {
  const directory = mkdtempSync(join(SOURCES, ".program-"));
  try {
    const program = join(directory, "enter");
    if (!buildEnterProgram(program))
      throw new Error("The program cannot be built: no C compiler or no static C library");
    renameSync(program, join(SOURCES, "program.bin"));
  } finally {
    rmSync(directory, { recursive: true });
  }
}
