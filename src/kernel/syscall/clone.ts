// Starts processes and threads that run a few instructions of machine code and nothing else, with clone(2). They share
// our memory.
//
// The code does not use its stack, which is the one of the calling thread, and has all signals blocked, because our
// handlers would run on that stack. It calls no function, and ends by the system call exit.
import { CFunction, FFIType } from "bun:ffi";
import { pinForever } from "./mem.ts";
import { mapCode, trySys } from "./sys.ts";

// biome-ignore format: one instruction a line
const X64_START = [
  0x49, 0x89, 0xf9,             // mov r9, rdi       the structure
  0x48, 0x89, 0xf7,             // mov rdi, rsi      flags
  0x31, 0xf6,                   // xor esi, esi      the same stack
  0x49, 0x89, 0xd2,             // mov r10, rdx      the word that becomes 0
  0x31, 0xd2,                   // xor edx, edx
  0x45, 0x31, 0xc0,             // xor r8d, r8d
  0xb8, 0x38, 0x00, 0x00, 0x00, // mov eax, 56       clone
  0x0f, 0x05,                   // syscall
  0x48, 0x85, 0xc0,             // test rax, rax
  0x74, 0x01,                   // jz +1
  0xc3,                         // ret
  0x4c, 0x89, 0xcb,             // mov rbx, r9
];

// biome-ignore format: one instruction a line
const ARM64_START = [
  0xe9, 0x03, 0x00, 0xaa, // mov x9, x0        the structure
  0xe0, 0x03, 0x01, 0xaa, // mov x0, x1        flags
  0xe4, 0x03, 0x02, 0xaa, // mov x4, x2        the word that becomes 0
  0x01, 0x00, 0x80, 0xd2, // mov x1, #0        the same stack
  0x02, 0x00, 0x80, 0xd2, // mov x2, #0
  0x03, 0x00, 0x80, 0xd2, // mov x3, #0
  0x88, 0x1b, 0x80, 0xd2, // mov x8, #220      clone
  0x01, 0x00, 0x00, 0xd4, // svc #0
  0x40, 0x00, 0x00, 0xb4, // cbz x0, +8
  0xc0, 0x03, 0x5f, 0xd6, // ret
  0xf3, 0x03, 0x09, 0xaa, // mov x19, x9
];

const [SIG_SETMASK, MASK_BYTES] = [2, 8];
const all = pinForever(MASK_BYTES);
all.bytes.fill(0xff);
const usual = pinForever(MASK_BYTES);

/** Machine code for both architectures. The address of its structure is in rbx, or x19. */
interface MachineCode {
  readonly x64: readonly number[];
  readonly arm64: readonly number[];
}

/** Starts a process or thread; returns its number, or a negative errno. */
type Start = (structure: number, flags: number, word: number) => number | bigint;

/**
 * Maps the code, and returns a function that starts it with the address of a structure and the flags of clone(2).
 * `word` is the address of the child's id for the flags CLONE_CHILD_SETTID and CLONE_CHILD_CLEARTID. What the code uses
 * must stay in memory until it has ended.
 */
export function cloneStarter({ x64, arm64 }: MachineCode): (structure: number, flags: number, word?: number) => number {
  const { i64, i64_fast } = FFIType;
  const ptr = mapCode([...X64_START, ...x64], [...ARM64_START, ...arm64]);
  const start = CFunction({ ptr, args: [i64, i64, i64], returns: i64_fast }) as unknown as Start;
  return (structure, flags, word = 0) => {
    trySys("rt_sigprocmask", SIG_SETMASK, all, usual, MASK_BYTES);
    const id = Number(start(structure, flags, word));
    trySys("rt_sigprocmask", SIG_SETMASK, usual, 0, MASK_BYTES);
    return id;
  };
}
