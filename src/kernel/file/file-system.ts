// Type and space of the file system that a file is on: statfs(2).
import { pinForever } from "../syscall/mem.ts";
import { check, trySys } from "../syscall/sys.ts";
import type { Fd } from "./fd.ts";

interface FileSystemStatus {
  /** The magic number of the type, from the list in statfs(2). */
  readonly type: number;
  readonly totalBytes: number;
  readonly freeBytes: number;
  /**
   * The part of the free bytes that unprivileged users may use; infinite where the file system has no size (a tmpfs
   * without a limit, some of FUSE).
   */
  readonly availableBytes: number;
}

// struct statfs { 0 long f_type; 8 f_bsize; 16 f_blocks; 24 f_bfree; 32 f_bavail; ... } 120 bytes
const statfs = pinForever(120);

/** Returns the status of the file system that an open file is on. Blocks where it does not answer (network, FUSE). */
export function fileSystemOf(fd: Fd): FileSystemStatus {
  check(trySys("fstatfs", fd.number, statfs), "statfs");
  const word = (at: number) => Number(statfs.view.getBigUint64(at, true));
  const [blockBytes, blocks] = [word(8), word(16)];
  return {
    type: statfs.view.getUint32(0, true),
    totalBytes: blocks * blockBytes,
    freeBytes: word(24) * blockBytes,
    availableBytes: blocks === 0 ? Number.POSITIVE_INFINITY : word(32) * blockBytes,
  };
}
