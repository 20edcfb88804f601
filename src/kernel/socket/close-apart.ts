// Closes a descriptor whose close(2) may block, in a process of its own that shares our table of descriptors and our
// memory, but is none of our threads: clone(2) with CLONE_FILES and CLONE_VM. close(2) first takes the descriptor out
// of the table, and then waits for the file system: a program that is started from then on gets no copy of it, and this
// process can exit, for which it would have to wait for its threads.
//
// The process runs the few instructions below and nothing else. It writes no memory, not even to the stack, which is
// the one of the calling thread, and has all signals blocked, because it would share our handlers' memory. Nothing has
// to be kept for it but the code.
import { CFunction, FFIType } from "bun:ffi";
import { EBADF } from "../syscall/constants.ts";
import { pinForever } from "../syscall/mem.ts";
import { mapCode, trySys } from "../syscall/sys.ts";

// biome-ignore format: one instruction a line
const X64 = [
  0x49, 0x89, 0xf9,             // mov r9, rdi       the descriptor
  0x48, 0x89, 0xf7,             // mov rdi, rsi      flags
  0x31, 0xf6,                   // xor esi, esi      the same stack
  0x31, 0xd2,                   // xor edx, edx
  0x45, 0x31, 0xd2,             // xor r10d, r10d
  0x45, 0x31, 0xc0,             // xor r8d, r8d
  0xb8, 0x38, 0x00, 0x00, 0x00, // mov eax, 56       clone
  0x0f, 0x05,                   // syscall
  0x48, 0x85, 0xc0,             // test rax, rax
  0x74, 0x01,                   // jz +1
  0xc3,                         // ret
  0x4c, 0x89, 0xcf,             // mov rdi, r9
  0xb8, 0x03, 0x00, 0x00, 0x00, // mov eax, 3        close
  0x0f, 0x05,                   // syscall
  0x31, 0xff,                   // xor edi, edi
  0xb8, 0x3c, 0x00, 0x00, 0x00, // mov eax, 60       exit
  0x0f, 0x05,                   // syscall
  0x0f, 0x0b,                   // ud2
];

// biome-ignore format: one instruction a line
const ARM64 = [
  0xe9, 0x03, 0x00, 0xaa, // mov x9, x0        the descriptor
  0xe0, 0x03, 0x01, 0xaa, // mov x0, x1        flags
  0x01, 0x00, 0x80, 0xd2, // mov x1, #0        the same stack
  0x02, 0x00, 0x80, 0xd2, // mov x2, #0
  0x03, 0x00, 0x80, 0xd2, // mov x3, #0
  0x04, 0x00, 0x80, 0xd2, // mov x4, #0
  0x88, 0x1b, 0x80, 0xd2, // mov x8, #220      clone
  0x01, 0x00, 0x00, 0xd4, // svc #0
  0x40, 0x00, 0x00, 0xb4, // cbz x0, +8
  0xc0, 0x03, 0x5f, 0xd6, // ret
  0xe0, 0x03, 0x09, 0xaa, // mov x0, x9
  0x28, 0x07, 0x80, 0xd2, // mov x8, #57       close
  0x01, 0x00, 0x00, 0xd4, // svc #0
  0x00, 0x00, 0x80, 0xd2, // mov x0, #0
  0xa8, 0x0b, 0x80, 0xd2, // mov x8, #93       exit
  0x01, 0x00, 0x00, 0xd4, // svc #0
  0x00, 0x00, 0x20, 0xd4, // brk #0
];

/** No signal is sent when the process ends. */
const FLAGS = 0x100 | 0x400; // CLONE_VM | CLONE_FILES
const [SIG_SETMASK, MASK_BYTES] = [2, 8];
const [P_PID, WNOHANG, WEXITED, WALL] = [1, 1, 4, 0x4000_0000];
const F_GETFD = 1;
/** How often the processor is given to others until the descriptor has left the table; never reached. */
const YIELDS = 100_000;

const all = pinForever(MASK_BYTES);
all.bytes.fill(0xff);
const usual = pinForever(MASK_BYTES);
// siginfo_t { ... 12 int si_pid; ... }
const end = pinForever(128);
let code: ((number: number, flags: number) => number | bigint) | null = null;

/**
 * Closes the descriptor `number`, which has left the table when this returns. Returns a function that says whether it
 * is closed, to be called until then; null where no process could be started, and the descriptor is still open.
 */
export function closeApart(number: number): (() => boolean) | null {
  const { i64, i64_fast } = FFIType;
  code ??= CFunction({ ptr: mapCode(X64, ARM64), args: [i64, i64], returns: i64_fast }) as unknown as typeof code;
  trySys("rt_sigprocmask", SIG_SETMASK, all, usual, MASK_BYTES);
  const pid = Number(code?.(number, FLAGS));
  trySys("rt_sigprocmask", SIG_SETMASK, usual, 0, MASK_BYTES);
  if (pid < 0) return null;
  for (let i = 0; i < YIELDS && trySys("fcntl", number, F_GETFD) !== EBADF; i++) trySys("sched_yield");
  return () => hasEnded(pid);
}

function hasEnded(pid: number): boolean {
  end.view.setInt32(12, 0, true);
  const failed = trySys("waitid", P_PID, pid, end, WNOHANG | WEXITED | WALL) !== 0;
  return failed || end.view.getInt32(12, true) !== 0;
}
