// A thread that waits for an epoll and writes a byte to a socket each time it is ready. It runs the instructions below
// and nothing else (../syscall/clone.ts). A thread of the engine (Worker) would need 3 MiB, and more time for each
// wake-up. The thread ends with the process, and where a call fails, after it has shut down the socket.
import { lazy } from "../../base/lazy.ts";
import { cloneStarter } from "../syscall/clone.ts";
import { pinForever } from "../syscall/mem.ts";

// biome-ignore format: one instruction a line
const X64 = [
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

/** Made once: the start is tried again where no thread is left, and what is mapped for its code stays. */
const starter = lazy(() => cloneStarter({ x64: X64, arm64: ARM64 }));

// struct { 0 int epoll; 8 int socket; 16 struct epoll_event event; }
const structure = pinForever(32);

/**
 * Starts the thread, which writes to `socket` each time `epoll` is ready; both must stay open. Returns whether it could
 * be started. There can be one such thread only.
 */
export function startWaitingThread(epoll: number, socket: number): boolean {
  structure.view.setInt32(0, epoll, true);
  structure.view.setInt32(8, socket, true);
  return starter()(structure.address, FLAGS) > 0;
}
