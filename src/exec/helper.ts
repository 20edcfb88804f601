// The program machined-enter (src/exec/enter), which the build has compiled. It is not compressed: to decompress it
// takes longer than all that it does.
import program from "./program.bin" with { type: "file" };

/** Returns the program's file; null in a build without a C compiler or a static C library. */
export function enterProgram(): Bun.BunFile | null {
  const file = Bun.file(program);
  return file.size === 0 ? null : file;
}
