// A FUSE server that answers the kernel's first request, reads all others, and never answers them: a process that uses
// the file system blocks, and cannot even be killed. Descriptor 5 is the device; it prints "up" before it reads. When
// it is killed, all blocked processes continue.
import { readSync, writeSync } from "node:fs";

const DEVICE = 5;
const INIT = 26;
const HEADER_BYTES = 16;
const INIT_REPLY_BYTES = 64;

const request = Buffer.alloc(256 << 10);
process.stdout.write("up\n");
for (;;) {
  const size = read();
  // struct fuse_in_header { u32 len; u32 opcode; u64 unique; … }
  if (size < 40 || request.readUInt32LE(4) !== INIT) continue;
  const reply = Buffer.alloc(HEADER_BYTES + INIT_REPLY_BYTES);
  reply.writeUInt32LE(reply.length, 0);
  request.copy(reply, 8, 8, 16);
  // struct fuse_init_out { u32 major; u32 minor; u32 max_readahead; u32 flags; u16 max_background; u16 congestion;
  //   u32 max_write; … }
  reply.writeUInt32LE(7, HEADER_BYTES);
  reply.writeUInt32LE(31, HEADER_BYTES + 4);
  reply.writeUInt32LE(4096, HEADER_BYTES + 20);
  writeSync(DEVICE, reply);
}

function read(): number {
  for (;;) {
    try {
      return readSync(DEVICE, request);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      // The device is not mounted yet.
      if (code !== "EPERM" && code !== "EINTR") throw error;
      Bun.sleepSync(1);
    }
  }
}
