// Which file system is in a disk or partition, by what it begins with: only those that the kernel's developers keep safe to
// mount from untrusted disks. See blkid(8), systemd-dissect(1).
import type { Fd } from "../file/fd.ts";
import { readAt } from "./gpt.ts";

export type DiskFileSystem = "btrfs" | "ext4" | "xfs" | "erofs" | "squashfs" | "vfat";

interface Mark {
  readonly type: DiskFileSystem | "crypto_LUKS";
  readonly at: number;
  readonly bytes: string;
}

/** Signatures by place; the first that fits counts. */
const MARKS: readonly Mark[] = [
  { type: "crypto_LUKS", at: 0, bytes: "LUKS\xba\xbe" },
  { type: "squashfs", at: 0, bytes: "hsqs" },
  { type: "xfs", at: 0, bytes: "XFSB" },
  { type: "erofs", at: 1024, bytes: "\xe2\xe1\xf5\xe0" },
  { type: "ext4", at: 1080, bytes: "\x53\xef" },
  { type: "btrfs", at: 65600, bytes: "_BHRfS_M" },
  { type: "vfat", at: 82, bytes: "FAT32   " },
  { type: "vfat", at: 54, bytes: "FAT1" },
];

const END = 65600 + 8;

/** The file system at `offset`; null for what is none of these. */
export function fileSystemAt(disk: Fd, offset: number): Mark["type"] | null {
  const head = readAt(disk, offset, END);
  const mark = MARKS.find(({ at, bytes }) => head.toString("latin1", at, at + bytes.length) === bytes);
  return mark?.type ?? null;
}
