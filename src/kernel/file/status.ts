// The status of files: statx(2).
import { UINT64_MAX } from "../../base/text/format.ts";
import {
  AT_EMPTY_PATH,
  AT_FDCWD,
  AT_STATX_DONT_SYNC,
  AT_SYMLINK_NOFOLLOW,
  STATX_BASIC_STATS,
  STATX_BTIME,
  STATX_MNT_ID,
  STATX_TYPE,
} from "../syscall/constants.ts";
import { pinForever, scratchString } from "../syscall/mem.ts";
import { check, trySys } from "../syscall/sys.ts";

export type FileKind = "regular" | "directory" | "symlink" | "fifo" | "socket" | "character" | "block" | "other";

/** Whether a symbolic link at the end of a path is followed. */
export type LinkPolicy = "follow" | "no-follow";

export interface FileStatus {
  readonly kind: FileKind;
  /** st_mode: permissions with setuid, setgid and sticky, and the bits of the kind. */
  readonly mode: number;
  readonly dev: bigint;
  readonly ino: bigint;
  readonly nlink: number;
  readonly size: number;
  /** 512-byte blocks in use. */
  readonly blocks: number;
  readonly uid: number;
  readonly gid: number;
  readonly rdev: { readonly major: number; readonly minor: number };
  readonly mtimeNs: bigint;
  readonly ctimeNs: bigint;
  /** Creation time, null where the file system does not know it. */
  readonly birthNs: bigint | null;
  /** The id of the mount that the file is on; null before Linux 5.8. */
  readonly mntId: bigint | null;
  readonly isMountPoint: boolean;
}

/** Kinds by d_type, which is st_mode >> 12. */
export const FILE_KINDS: Readonly<Record<number, FileKind>> = {
  1: "fifo",
  2: "character",
  4: "directory",
  6: "block",
  8: "regular",
  10: "symlink",
  12: "socket",
};

const STATX_ATTR_MOUNT_ROOT = 0x2000;

/*
 * struct statx {
 *     0 __u32 stx_mask;   4 __u32 stx_blksize;  8 __u64 stx_attributes;
 *    16 __u32 stx_nlink; 20 __u32 stx_uid;     24 __u32 stx_gid;        28 __u16 stx_mode;
 *    32 __u64 stx_ino;   40 __u64 stx_size;    48 __u64 stx_blocks;     56 __u64 stx_attributes_mask;
 *    64 stx_atime;       80 stx_btime;         96 stx_ctime;           112 stx_mtime;   each { __s64 sec; __u32 nsec; }
 *   128 __u32 stx_rdev_major, _minor;         136 __u32 stx_dev_major, _minor;
 *   144 __u64 stx_mnt_id;                     256 bytes in all
 * };
 */
const statx = pinForever(256);

/**
 * Returns the status of `path` relative to the open directory `at` (null: the working directory), or of `at` itself
 * where `path` is empty. Only for `fd.ts`, which has the functions for others.
 */
export function statusOf(at: number | null, path: string, links: LinkPolicy): FileStatus {
  const flags = (path === "" ? AT_EMPTY_PATH : 0) | (links === "no-follow" ? AT_SYMLINK_NOFOLLOW : 0);
  const result = trySys("statx", at ?? AT_FDCWD, scratchString(path), flags, STATUS_MASK, statx);
  check(result, "stat", path === "" ? undefined : path);
  return readStatus();
}

/** Returns the kind of the open file `number` from the kernel's caches, without accessing its file system. */
export function kindOfOpen(number: number): FileKind {
  const flags = AT_EMPTY_PATH | AT_STATX_DONT_SYNC;
  check(trySys("statx", number, scratchString(""), flags, STATX_TYPE, statx), "stat");
  return readStatus().kind;
}

/** The mask of statx(2) for a FileStatus. */
export const STATUS_MASK = STATX_BASIC_STATS | STATX_BTIME | STATX_MNT_ID;

function readStatus(): FileStatus {
  const v = statx.view;
  const mask = v.getUint32(0, true);
  const mode = v.getUint16(28, true);
  return {
    kind: FILE_KINDS[mode >> 12] ?? "other",
    mode,
    dev: deviceNumber(v.getUint32(136, true), v.getUint32(140, true)),
    ino: v.getBigUint64(32, true),
    nlink: v.getUint32(16, true),
    size: Number(v.getBigUint64(40, true)),
    blocks: Number(v.getBigUint64(48, true)),
    uid: v.getUint32(20, true),
    gid: v.getUint32(24, true),
    rdev: { major: v.getUint32(128, true), minor: v.getUint32(132, true) },
    mtimeNs: readTime(112),
    ctimeNs: readTime(96),
    birthNs: (mask & STATX_BTIME) !== 0 ? readTime(80) : null,
    mntId: (mask & STATX_MNT_ID) !== 0 ? v.getBigUint64(144, true) : null,
    isMountPoint: (v.getUint32(8, true) & STATX_ATTR_MOUNT_ROOT) !== 0,
  };
}

function readTime(at: number): bigint {
  return statx.view.getBigInt64(at, true) * 1_000_000_000n + BigInt(statx.view.getUint32(at + 8, true));
}

/**
 * Returns a time of a file in µs as the interfaces have it, which know no sign: 0, "not known", for one before 1970 or
 * beyond 64 bits. Any file may have one: archives and touch(1) set it.
 */
export function usecOfTime(ns: bigint): bigint {
  const usec = ns / 1000n;
  return usec < 0n || usec >= UINT64_MAX ? 0n : usec;
}

/** Returns a device number as mknod(2) takes it: 12 bits of the major and 20 of the minor number. */
export function packedDevice(major: number, minor: number): number {
  return ((minor & 0xff) | ((major & 0xfff) << 8) | ((minor & ~0xff) << 12)) >>> 0;
}

/** Returns a device number as in st_dev of stat(2), comparable with that of node:fs. */
function deviceNumber(major: number, minor: number): bigint {
  const [M, m] = [BigInt(major), BigInt(minor)];
  return ((M & 0xfffff000n) << 32n) | ((M & 0xfffn) << 8n) | ((m & 0xffffff00n) << 12n) | (m & 0xffn);
}
