// A thread that waits for an epoll and writes a byte to a socket each time it is ready. It runs the instructions below
// and nothing else. A thread of the engine (Worker) would need 3 MiB, and more time for each wake-up.
//
// The thread does not use its stack, which is the one of the calling thread, and has all signals blocked, because
// handlers would run on it. It ends with the process, and where a call fails, after it has shut down the socket.
import { CFunction, FFIType } from "bun:ffi";
import { pinForever } from "../syscall/mem.ts";
import { mapCode, trySys } from "../syscall/sys.ts";

// biome-ignore format: one instruction a line
const X64 = [
  0x49, 0x89, 0xf9,                         // mov r9, rdi       the structure
  0x48, 0x89, 0xf7,                         // mov rdi, rsi      flags
  0x31, 0xf6,                               // xor esi, esi      the same stack
  0x31, 0xd2,                               // xor edx, edx
  0x45, 0x31, 0xd2,                         // xor r10d, r10d
  0x45, 0x31, 0xc0,                         // xor r8d, r8d
  0xb8, 0x38, 0x00, 0x00, 0x00,             // mov eax, 56       clone
  0x0f, 0x05,                               // syscall
  0x48, 0x85, 0xc0,                         // test rax, rax
  0x74, 0x01,                               // jz +1
  0xc3,                                     // ret
  0x4c, 0x89, 0xcb,                         // mov rbx, r9
  // wait:
  0x8b, 0x3b,                               // mov edi, [rbx]
  0x48, 0x8d, 0x73, 0x10,                   // lea rsi, [rbx+16]
  0xba, 0x01, 0x00, 0x00, 0x00,             // mov edx, 1
  0x49, 0xc7, 0xc2, 0xff, 0xff, 0xff, 0xff, // mov r10, -1
  0x45, 0x31, 0xc0,                         // xor r8d, r8d
  0xb8, 0x19, 0x01, 0x00, 0x00,             // mov eax, 281      epoll_pwait
  0x0f, 0x05,                               // syscall
  0x83, 0xf8, 0xfc,                         // cmp eax, -4       EINTR
  0x74, 0xdf,                               // je wait
  0x85, 0xc0,                               // test eax, eax
  0x78, 0x18,                               // js end
  0x8b, 0x7b, 0x08,                         // mov edi, [rbx+8]
  0x48, 0x8d, 0x73, 0x10,                   // lea rsi, [rbx+16]
  0xba, 0x01, 0x00, 0x00, 0x00,             // mov edx, 1
  0xb8, 0x01, 0x00, 0x00, 0x00,             // mov eax, 1        write
  0x0f, 0x05,                               // syscall
  0x83, 0xf8, 0x01,                         // cmp eax, 1
  0x74, 0xc3,                               // je wait
  // end:
  0x8b, 0x7b, 0x08,                         // mov edi, [rbx+8]
  0xbe, 0x02, 0x00, 0x00, 0x00,             // mov esi, 2        SHUT_RDWR
  0xb8, 0x30, 0x00, 0x00, 0x00,             // mov eax, 48       shutdown
  0x0f, 0x05,                               // syscall
  0x31, 0xff,                               // xor edi, edi
  0xb8, 0x3c, 0x00, 0x00, 0x00,             // mov eax, 60       exit
  0x0f, 0x05,                               // syscall
  0x0f, 0x0b,                               // ud2
];

// biome-ignore format: one instruction a line
const ARM64 = [
  0xe9, 0x03, 0x00, 0xaa, // mov x9, x0         the structure
  0xe0, 0x03, 0x01, 0xaa, // mov x0, x1         flags
  0x01, 0x00, 0x80, 0xd2, // mov x1, #0         the same stack
  0x02, 0x00, 0x80, 0xd2, // mov x2, #0
  0x03, 0x00, 0x80, 0xd2, // mov x3, #0
  0x04, 0x00, 0x80, 0xd2, // mov x4, #0
  0x88, 0x1b, 0x80, 0xd2, // mov x8, #220       clone
  0x01, 0x00, 0x00, 0xd4, // svc #0
  0x40, 0x00, 0x00, 0xb4, // cbz x0, +8
  0xc0, 0x03, 0x5f, 0xd6, // ret
  0xf3, 0x03, 0x09, 0xaa, // mov x19, x9
  // wait:
  0x60, 0x02, 0x40, 0xb9, // ldr w0, [x19]
  0x61, 0x42, 0x00, 0x91, // add x1, x19, #16
  0x22, 0x00, 0x80, 0xd2, // mov x2, #1
  0x03, 0x00, 0x80, 0x92, // mov x3, #-1
  0x04, 0x00, 0x80, 0xd2, // mov x4, #0
  0xc8, 0x02, 0x80, 0xd2, // mov x8, #22        epoll_pwait
  0x01, 0x00, 0x00, 0xd4, // svc #0
  0x1f, 0x10, 0x00, 0x31, // cmn w0, #4         EINTR
  0x00, 0xff, 0xff, 0x54, // b.eq wait
  0x00, 0x01, 0xf8, 0x37, // tbnz w0, #31, end
  0x60, 0x0a, 0x40, 0xb9, // ldr w0, [x19, #8]
  0x61, 0x42, 0x00, 0x91, // add x1, x19, #16
  0x22, 0x00, 0x80, 0xd2, // mov x2, #1
  0x08, 0x08, 0x80, 0xd2, // mov x8, #64        write
  0x01, 0x00, 0x00, 0xd4, // svc #0
  0x1f, 0x04, 0x00, 0xf1, // cmp x0, #1
  0x00, 0xfe, 0xff, 0x54, // b.eq wait
  // end:
  0x60, 0x0a, 0x40, 0xb9, // ldr w0, [x19, #8]
  0x41, 0x00, 0x80, 0xd2, // mov x1, #2         SHUT_RDWR
  0x48, 0x1a, 0x80, 0xd2, // mov x8, #210       shutdown
  0x01, 0x00, 0x00, 0xd4, // svc #0
  0x00, 0x00, 0x80, 0xd2, // mov x0, #0
  0xa8, 0x0b, 0x80, 0xd2, // mov x8, #93        exit
  0x01, 0x00, 0x00, 0xd4, // svc #0
  0x00, 0x00, 0x20, 0xd4, // brk #0
];

/** CLONE_VM, CLONE_FS, CLONE_FILES, CLONE_SIGHAND, CLONE_THREAD, CLONE_SYSVSEM. */
const FLAGS = 0x100 | 0x200 | 0x400 | 0x800 | 0x1_0000 | 0x4_0000;
const [SIG_SETMASK, MASK_BYTES] = [2, 8];

// struct { 0 int epoll; 8 int socket; 16 struct epoll_event event; }
const structure = pinForever(32);
const all = pinForever(MASK_BYTES);
all.bytes.fill(0xff);
const usual = pinForever(MASK_BYTES);

let clone: ((structure: number, flags: number) => number | bigint) | null = null;

/**
 * Starts the thread, which writes to `socket` each time `epoll` is ready; both must stay open. Returns whether it could
 * be started. There can be one such thread only.
 */
export function startWaitingThread(epoll: number, socket: number): boolean {
  structure.view.setInt32(0, epoll, true);
  structure.view.setInt32(8, socket, true);
  const { i64, i64_fast } = FFIType;
  clone ??= CFunction({ ptr: mapCode(X64, ARM64), args: [i64, i64], returns: i64_fast }) as unknown as typeof clone;
  trySys("rt_sigprocmask", SIG_SETMASK, all, usual, MASK_BYTES);
  const thread = Number(clone?.(structure.address, FLAGS));
  trySys("rt_sigprocmask", SIG_SETMASK, usual, 0, MASK_BYTES);
  return thread > 0;
}
