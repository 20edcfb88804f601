// The program that enters a machine (src/exec/enter), as the build has compiled and compressed it.
import { readFileSync } from "node:fs";
import program from "./program.bin" with { type: "file" };

/** The program's bytes, or null in a build that was made without a C compiler or a static C library. */
export function enterProgram(): Uint8Array | null {
  const packed = readFileSync(program);
  return packed.length === 0 ? null : Bun.zstdDecompressSync(packed);
}
