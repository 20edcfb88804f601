// The program machined-enter (src/exec/enter), which the build has compiled and compressed.
import { readFileSync } from "node:fs";
import program from "./program.bin" with { type: "file" };

/** Returns the program's bytes; null in a build without a C compiler or a static C library. */
export function enterProgram(): Uint8Array | null {
  const packed = readFileSync(program);
  return packed.length === 0 ? null : Bun.zstdDecompressSync(packed);
}
