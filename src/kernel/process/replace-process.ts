// Becoming another program: execveat(2).
import type { Fd } from "../file/fd.ts";
import { AT_EMPTY_PATH } from "../syscall/constants.ts";
import { pin, scratchString } from "../syscall/mem.ts";
import { check, trySys } from "../syscall/sys.ts";

const POINTER = 8;

/**
 * Replaces this process, with all its threads, by the program in `file`. Descriptors that are close-on-exec are closed, all
 * others are the program's. Returns only by throwing a SyscallError (`E2BIG` when the arguments are too long).
 */
export function replaceProcess(file: Fd, args: readonly string[], environment: readonly string[]): never {
  const strings = [...args, ...environment].map((text) => Buffer.from(`${text}\0`));
  const text = pin(strings.reduce((sum, { length }) => sum + length, 0));
  const pointers = pin((strings.length + 2) * POINTER);
  let at = 0;
  strings.forEach((bytes, index) => {
    text.bytes.set(bytes, at);
    // One pointer to nothing ends the arguments, another one the environment.
    const place = index < args.length ? index : index + 1;
    pointers.view.setBigUint64(place * POINTER, BigInt(text.address + at), true);
    at += bytes.length;
  });
  const environmentAt = pointers.address + (args.length + 1) * POINTER;
  const result = trySys("execveat", file.number, scratchString(""), pointers, environmentAt, AT_EMPTY_PATH);
  check(result, "execve");
  throw new Error("execve(2) returned without an error");
}
