// Which file system a file is on, and how full it is: statfs(2).

import { pinForever } from "../syscall/mem.ts";
import { check, trySys } from "../syscall/sys.ts";
import type { Fd } from "./fd.ts";

interface FileSystemStatus {
  /** The magic number of the file system type, as statfs(2) lists them. */
  readonly type: number;
  readonly totalBytes: number;
  readonly freeBytes: number;
  readonly availableBytes: number;
}

// struct statfs { 0 long f_type; 8 f_bsize; 16 f_blocks; 24 f_bfree; 32 f_bavail; ... } 120 bytes
const statfs = pinForever(120);

/** The file system an open file is on. It waits when that file system does not answer (network, FUSE). */
export function fileSystemOf(fd: Fd): FileSystemStatus {
  check(trySys("fstatfs", fd.number, statfs), "statfs");
  const word = (at: number) => Number(statfs.view.getBigUint64(at, true));
  const blockBytes = word(8);
  return {
    type: statfs.view.getUint32(0, true),
    totalBytes: word(16) * blockBytes,
    freeBytes: word(24) * blockBytes,
    availableBytes: word(32) * blockBytes,
  };
}
