// The program machined-enter (src/exec/enter), which the build has compiled. It is not compressed: to decompress it
// takes longer than all that it does.
import program from "./program.bin" with { type: "file" };

/** Returns the program's bytes; null in a build without a C compiler or a static C library. */
export async function enterProgram(): Promise<Uint8Array | null> {
  const bytes = await Bun.file(program).bytes();
  return bytes.length === 0 ? null : bytes;
}
