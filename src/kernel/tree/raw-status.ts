// The status of files with raw names (statx(2)).
import type { Fd } from "../file/fd.ts";
import { FILE_KINDS, type FileKind, packedDevice } from "../file/status.ts";
import { AT_EMPTY_PATH, AT_NO_AUTOMOUNT, AT_SYMLINK_NOFOLLOW } from "../syscall/constants.ts";
import { type Pinned, pin } from "../syscall/mem.ts";
import { check, trySys } from "../syscall/sys.ts";
import { type RawName, rawAddress, textOf } from "./tree.ts";

// struct statx: see kernel/file/status.ts. It is not decoded, so that its times can be copied as they are.
const STATX_SIZE = 256;
const MASK = 0xfff | 0x1000;

/** The undecoded status of a file, in memory that is reused for many files. */
export class RawStatus {
  readonly memory: Pinned = pin(STATX_SIZE);

  /** Reads the status of an open file, O_PATH included. */
  readFd(fd: Fd): this {
    check(trySys("statx", fd.number, rawAddress(""), AT_EMPTY_PATH, MASK, this.memory), "stat");
    return this;
  }

  /** Reads the status of an entry of a directory; does not follow a link. */
  readEntry(parent: Fd, name: RawName): this {
    const flags = AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT;
    const result = trySys("statx", parent.number, rawAddress(name), flags, MASK, this.memory);
    check(result, "stat", result < 0 ? textOf(name) : undefined);
    return this;
  }

  get kind(): FileKind {
    return FILE_KINDS[this.mode >> 12] ?? "other";
  }

  get mode(): number {
    return this.memory.view.getUint16(28, true);
  }

  get links(): number {
    return this.memory.view.getUint32(16, true);
  }

  get uid(): number {
    return this.memory.view.getUint32(20, true);
  }

  get gid(): number {
    return this.memory.view.getUint32(24, true);
  }

  get size(): number {
    return Number(this.memory.view.getBigUint64(40, true));
  }

  get allocatedBytes(): number {
    return Number(this.memory.view.getBigUint64(48, true)) * 512;
  }

  /** The device number of a device, as mknod(2) takes it. */
  get deviceNumber(): number {
    const [major, minor] = [this.memory.view.getUint32(128, true), this.memory.view.getUint32(132, true)];
    return packedDevice(major, minor);
  }

  /** Device and inode: equal only for names of the same file. */
  get identity(): string {
    const { view } = this.memory;
    return `${view.getUint32(136, true)}:${view.getUint32(140, true)}:${view.getBigUint64(32, true)}`;
  }

  get ino(): bigint {
    return this.memory.view.getBigUint64(32, true);
  }

  get mountId(): bigint {
    return this.memory.view.getBigUint64(144, true);
  }
}
