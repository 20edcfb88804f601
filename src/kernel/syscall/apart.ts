// Makes a system call that may block for ever, in a process of its own that shares our memory and our table of
// descriptors, but is none of our threads: clone(2) with CLONE_VM and CLONE_FILES. A descriptor that it opens or closes
// is ours. Unlike a thread, it can be killed by itself, and this process need not wait for it to exit.
//
// The process runs the few instructions below and nothing else (clone.ts): it loads the arguments from memory, makes
// the call, stores the result and exits. At its end the kernel sets the word `tid` to 0 and wakes who waits for it. It
// is killed at the end of this process, whose descriptors it would keep open; where that has ended before the process
// could ask for this, its parent is another one, and it makes no call.
import { lazy } from "../../base/lazy.ts";
import { cloneStarter } from "./clone.ts";
import { pin, pinForever } from "./mem.ts";
import { numberOf, type SyscallName } from "./numbers.ts";
import { type SyscallArgument, trySys } from "./sys.ts";

// biome-ignore format: one instruction a line
const X64 = [
  0xbf, 0x01, 0x00, 0x00, 0x00, // mov edi, 1        PR_SET_PDEATHSIG
  0xbe, 0x09, 0x00, 0x00, 0x00, // mov esi, 9        SIGKILL
  0xb8, 0x9d, 0x00, 0x00, 0x00, // mov eax, 157      prctl
  0x0f, 0x05,                   // syscall
  0xb8, 0x6e, 0x00, 0x00, 0x00, // mov eax, 110      getppid
  0x0f, 0x05,                   // syscall
  0x48, 0x3b, 0x43, 0x28,       // cmp rax, [rbx+40]
  0x75, 0x19,                   // jne end
  0x48, 0x8b, 0x03,             // mov rax, [rbx]
  0x48, 0x8b, 0x7b, 0x08,       // mov rdi, [rbx+8]
  0x48, 0x8b, 0x73, 0x10,       // mov rsi, [rbx+16]
  0x48, 0x8b, 0x53, 0x18,       // mov rdx, [rbx+24]
  0x4c, 0x8b, 0x53, 0x20,       // mov r10, [rbx+32]
  0x0f, 0x05,                   // syscall
  0x48, 0x89, 0x43, 0x38,       // mov [rbx+56], rax
  // end:
  0x31, 0xff,                   // xor edi, edi
  0xb8, 0x3c, 0x00, 0x00, 0x00, // mov eax, 60       exit
  0x0f, 0x05,                   // syscall
  0x0f, 0x0b,                   // ud2
];

// biome-ignore format: one instruction a line
const ARM64 = [
  0x20, 0x00, 0x80, 0xd2, // mov x0, #1        PR_SET_PDEATHSIG
  0x21, 0x01, 0x80, 0xd2, // mov x1, #9        SIGKILL
  0xe8, 0x14, 0x80, 0xd2, // mov x8, #167      prctl
  0x01, 0x00, 0x00, 0xd4, // svc #0
  0xa8, 0x15, 0x80, 0xd2, // mov x8, #173      getppid
  0x01, 0x00, 0x00, 0xd4, // svc #0
  0x61, 0x16, 0x40, 0xf9, // ldr x1, [x19, #40]
  0x1f, 0x00, 0x01, 0xeb, // cmp x0, x1
  0x01, 0x01, 0x00, 0x54, // b.ne end
  0x68, 0x02, 0x40, 0xf9, // ldr x8, [x19]
  0x60, 0x06, 0x40, 0xf9, // ldr x0, [x19, #8]
  0x61, 0x0a, 0x40, 0xf9, // ldr x1, [x19, #16]
  0x62, 0x0e, 0x40, 0xf9, // ldr x2, [x19, #24]
  0x63, 0x12, 0x40, 0xf9, // ldr x3, [x19, #32]
  0x01, 0x00, 0x00, 0xd4, // svc #0
  0x60, 0x1e, 0x00, 0xf9, // str x0, [x19, #56]
  // end:
  0x00, 0x00, 0x80, 0xd2, // mov x0, #0
  0xa8, 0x0b, 0x80, 0xd2, // mov x8, #93       exit
  0x01, 0x00, 0x00, 0xd4, // svc #0
  0x00, 0x00, 0x20, 0xd4, // brk #0
];

/** CLONE_VM, CLONE_FILES, CLONE_CHILD_CLEARTID, CLONE_CHILD_SETTID; no signal is sent when the process ends. */
const FLAGS = 0x100 | 0x400 | 0x20_0000 | 0x100_0000;
const [P_PID, WEXITED, WALL] = [1, 4, 0x4000_0000];
const FUTEX_WAIT = 0;
const SIGKILL = 9;
const NO_RESULT = -(2n ** 63n);

// struct { 0 long number; 8 long arguments[4]; 40 long parent; 56 long result; 64 int tid; }
const [PARENT, RESULT, TID, SIZE] = [40, 56, 64, 72];

// struct timespec { long tv_sec; long tv_nsec; }
const timeout = pinForever(16);

const starter = lazy(() => cloneStarter({ x64: X64, arm64: ARM64 }));

/** The calls whose processes have not ended, with what their arguments point to: the processes use this memory. */
const running = new Map<CallApart, readonly SyscallArgument[]>();

/** A system call that another process makes. */
export class CallApart {
  readonly #memory = pin(SIZE);
  readonly #pid: number;

  private constructor(name: SyscallName, args: readonly SyscallArgument[]) {
    const { view, address } = this.#memory;
    view.setBigInt64(0, BigInt(numberOf(name)), true);
    view.setBigInt64(PARENT, BigInt(process.pid), true);
    view.setBigInt64(RESULT, NO_RESULT, true);
    for (const [index, argument] of args.entries()) {
      view.setBigInt64(8 + 8 * index, BigInt(typeof argument === "object" ? argument.address : argument), true);
    }
    view.setInt32(TID, -1, true);
    this.#pid = starter()(address, FLAGS, address + TID);
  }

  /** Begins a call with up to four arguments; null where no process can be started. */
  static begin(name: SyscallName, ...args: readonly SyscallArgument[]): CallApart | null {
    const call = new CallApart(name, args);
    if (call.#pid < 0) return null;
    running.set(call, args);
    return call;
  }

  /** The number of the process. */
  get pid(): number {
    return this.#pid;
  }

  /** Returns whether the process has ended; waits for that for `limitMs` at most. */
  hasEnded(limitMs = 0): boolean {
    if (!running.has(this)) return true;
    const end = performance.now() + limitMs;
    for (;;) {
      const tid = this.#memory.view.getInt32(TID, true);
      if (tid === 0) break;
      const rest = end - performance.now();
      if (rest <= 0) return false;
      timeout.view.setBigInt64(0, BigInt(Math.floor(rest / 1000)), true);
      timeout.view.setBigInt64(8, BigInt(Math.floor((rest % 1000) * 1e6)), true);
      trySys("futex", this.#memory.address + TID, FUTEX_WAIT, tid, timeout);
    }
    trySys("waitid", P_PID, this.#pid, 0, WEXITED | WALL);
    running.delete(this);
    return true;
  }

  /** The kernel's result, a value or a negative errno; undefined where the process was killed before. */
  get result(): number | undefined {
    const result = this.#memory.view.getBigInt64(RESULT, true);
    return result === NO_RESULT ? undefined : Number(result);
  }

  kill(): void {
    if (!this.hasEnded()) trySys("kill", this.#pid, SIGKILL);
  }
}
