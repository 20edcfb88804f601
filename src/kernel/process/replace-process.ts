// Executes another program in place of this process: execveat(2).
import type { Fd } from "../file/fd.ts";
import { AT_EMPTY_PATH, AT_FDCWD } from "../syscall/constants.ts";
import { pin, scratchString } from "../syscall/mem.ts";
import { check, trySys } from "../syscall/sys.ts";

const POINTER = 8;

/**
 * Replaces this process, with all its threads, by a program, which inherits all descriptors that are not close-on-exec.
 * `program` is its file, or its path, with which it may also be a script: an interpreter cannot open a file that is
 * closed with this call. Does not return; throws a SyscallError on failure (`E2BIG` where the arguments are too long).
 */
export function replaceProcess(program: Fd | string, args: readonly string[], environment: readonly string[]): never {
  const strings = [...args, ...environment].map((text) => Buffer.from(`${text}\0`));
  const text = pin(strings.reduce((sum, { length }) => sum + length, 0));
  const pointers = pin((strings.length + 2) * POINTER);
  let at = 0;
  strings.forEach((bytes, index) => {
    text.bytes.set(bytes, at);
    // A null pointer ends the arguments, another one the environment.
    const place = index < args.length ? index : index + 1;
    pointers.view.setBigUint64(place * POINTER, BigInt(text.address + at), true);
    at += bytes.length;
  });
  const environmentAt = pointers.address + (args.length + 1) * POINTER;
  const [from, path, flags] =
    typeof program === "string" ? [AT_FDCWD, program, 0] : [program.number, "", AT_EMPTY_PATH];
  const result = trySys("execveat", from, scratchString(path), pointers, environmentAt, flags);
  check(result, "execve");
  throw new Error("execve(2) returned without an error");
}
