// Makes system calls. libc's wrappers store the error in errno, which the engine may overwrite before JavaScript can
// read it; the raw instruction returns it. So the only native code is a few bytes of machine code, called with seven
// integers, and each result is the kernel's: a value, or a negative errno. See syscall(2).
import { CFunction, dlopen, FFIType, type Pointer, toArrayBuffer } from "bun:ffi";
import { lazy } from "../../base/lazy.ts";
import { NoExecutableMemory } from "../../base/no-executable-memory.ts";
import { EINTR } from "./constants.ts";
import { SyscallError } from "./error.ts";
import type { Pinned } from "./mem.ts";
import { numberOf, type SyscallName } from "./numbers.ts";

export { isErrno, SyscallError, unlessErrno, unlessSyscallError } from "./error.ts";

/** An argument: an integer below 2^53, one of 32 bits where it is negative, or memory (whose address is passed). */
export type SyscallArgument = number | bigint | Pinned;

// biome-ignore format: one instruction a line
const X64 = [
  0x48, 0x89, 0xf8,             // mov rax, rdi      number
  0x48, 0x89, 0xf7,             // mov rdi, rsi      the six arguments move up by one
  0x48, 0x89, 0xd6,             // mov rsi, rdx
  0x48, 0x89, 0xca,             // mov rdx, rcx
  0x4d, 0x89, 0xc2,             // mov r10, r8
  0x4d, 0x89, 0xc8,             // mov r8, r9
  0x4c, 0x8b, 0x4c, 0x24, 0x08, // mov r9, [rsp+8]
  0x0f, 0x05,                   // syscall
  0xc3,                         // ret
];

// biome-ignore format: one instruction a line
const ARM64 = [
  0xe8, 0x03, 0x00, 0xaa, // mov x8, x0        number
  0xe0, 0x03, 0x01, 0xaa, // mov x0, x1        the six arguments move up by one
  0xe1, 0x03, 0x02, 0xaa, // mov x1, x2
  0xe2, 0x03, 0x03, 0xaa, // mov x2, x3
  0xe3, 0x03, 0x04, 0xaa, // mov x3, x4
  0xe4, 0x03, 0x05, 0xaa, // mov x4, x5
  0xe5, 0x03, 0x06, 0xaa, // mov x5, x6
  0x01, 0x00, 0x00, 0xd4, // svc #0
  0xc0, 0x03, 0x5f, 0xd6, // ret
];

const PAGE = 65536; // the largest page size of either architecture
const [PROT_READ, PROT_WRITE, PROT_EXEC] = [1, 2, 4];
const [MAP_PRIVATE, MAP_ANONYMOUS] = [0x02, 0x20];

type Entry = (nr: number, a: number, b: number, c: number, d: number, e: number, f: number) => number | bigint;

/** Opens libc under its names in glibc and musl; only mmap and mprotect are needed, to map the page of machine code. */
function openLibc() {
  const symbols = {
    mmap: { args: ["u64", "u64", "i32", "i32", "i32", "i64"], returns: "ptr" },
    mprotect: { args: ["ptr", "u64", "i32"], returns: "i32" },
  } as const;
  let cause: unknown;
  for (const name of ["libc.so.6", `libc.musl-${process.arch === "arm64" ? "aarch64" : "x86_64"}.so.1`, "libc.so"]) {
    try {
      return dlopen(name, symbols);
    } catch (error) {
      cause ??= error;
    }
  }
  // Where executable memory is forbidden, the engine's JIT compiler is off, and bun:ffi says so.
  if (cause instanceof Error && cause.message.includes("JIT")) {
    throw new NoExecutableMemory("Cannot call the kernel: executable memory is forbidden", { cause });
  }
  throw new Error("Cannot call the kernel: there is no C library that can be loaded", { cause });
}

/** Maps machine code for as long as the process lives, and returns its address. */
export function mapCode(x64: readonly number[], arm64: readonly number[]): Pointer {
  const code = process.arch === "arm64" ? arm64 : x64;
  const libc = openLibc().symbols;
  const page = libc.mmap(0, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (page === null || (page as number) < 0) throw new Error("Cannot call the kernel: no memory for the entry");
  new Uint8Array(toArrayBuffer(page, 0, code.length)).set(code);
  // Never writable and executable at once. The kernel flushes the instruction cache when a page becomes executable.
  if (libc.mprotect(page, PAGE, PROT_READ | PROT_EXEC) !== 0) {
    throw new NoExecutableMemory("Cannot call the kernel: the security policy forbids executable memory");
  }
  return page as Pointer;
}

const code = mapCode(X64, ARM64);

/**
 * Makes functions of the machine code that differ in their result. The integers are passed as pointers, which the
 * engine does in a tenth of the time of 64-bit integers.
 */
function entryReturning(returns: FFIType): Entry {
  const { ptr } = FFIType;
  return CFunction({ ptr: code, args: [ptr, ptr, ptr, ptr, ptr, ptr, ptr], returns }) as unknown as Entry;
}

const enter = entryReturning(FFIType.i32);
const enterForOffset = lazy(() => entryReturning(FFIType.i64_fast));

/** The one call whose results can have more than 31 bits: reading and writing stop before 2^31 bytes. */
const RETURNS_OFFSET: SyscallName = "lseek";

/**
 * Calls that are not repeated after EINTR: close (the descriptor is closed), connect (it continues), and those that
 * wait.
 */
const NO_RETRY: ReadonlySet<SyscallName> = new Set([
  "close",
  "connect",
  "epoll_pwait",
  "epoll_pwait2",
  "ppoll",
  "waitid",
  "flock",
]);

/** Returns an argument as a number that is passed whole: below 2^53, or negative with 32 bits. Throws RangeError. */
function toInteger(argument: SyscallArgument): number {
  if (typeof argument === "object") return argument.address;
  const number = Number(argument);
  if (number >= 0 && number <= Number.MAX_SAFE_INTEGER) return number;
  // The engine may store a negative number as a double, which is no pointer.
  const integer = number | 0;
  if (integer !== number) throw new RangeError(`Not an argument of a system call: ${argument}`);
  return integer;
}

/**
 * Makes a system call and returns the kernel's result: a value of 0 or more, or a negative errno. Repeats it after
 * EINTR.
 */
export function trySys(
  name: SyscallName,
  a: SyscallArgument = 0,
  b: SyscallArgument = 0,
  c: SyscallArgument = 0,
  d: SyscallArgument = 0,
  e: SyscallArgument = 0,
  f: SyscallArgument = 0,
): number {
  const nr = numberOf(name);
  const call = name === RETURNS_OFFSET ? enterForOffset() : enter;
  for (;;) {
    const result = Number(call(nr, toInteger(a), toInteger(b), toInteger(c), toInteger(d), toInteger(e), toInteger(f)));
    if (result !== EINTR || NO_RETRY.has(name)) return result;
  }
}

/** Makes a system call and returns its value; throws SyscallError where it fails. */
export function sys(
  name: SyscallName,
  a: SyscallArgument = 0,
  b: SyscallArgument = 0,
  c: SyscallArgument = 0,
  d: SyscallArgument = 0,
  e: SyscallArgument = 0,
  f: SyscallArgument = 0,
): number {
  return check(trySys(name, a, b, c, d, e, f), name);
}

/**
 * Returns a result of `trySys()`; throws SyscallError for a negative errno. `object` is what the call was about, for
 * its text.
 */
export function check(result: number, syscall: string, object?: string): number {
  if (result < 0) throw new SyscallError(syscall, -result, object);
  return result;
}
