// Detects the file system of a disk or partition by its signature: only types that are maintained well enough to be
// mounted from untrusted disks. See blkid(8), systemd-dissect(1).
import type { Fd } from "../file/fd.ts";
import { readAt } from "./gpt.ts";

export type DiskFileSystem = "btrfs" | "ext4" | "xfs" | "erofs" | "squashfs" | "vfat";

interface Signature {
  readonly type: DiskFileSystem | "crypto_LUKS";
  readonly at: number;
  readonly bytes: string;
}

/** The signatures with their offsets in bytes; the first that matches counts. */
const SIGNATURES: readonly Signature[] = [
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

/** Returns the type of the file system at `offset` of a disk; null for an unknown one. */
export function fileSystemAt(disk: Fd, offset: number): Signature["type"] | null {
  const head = readAt(disk, offset, END);
  const match = SIGNATURES.find(({ at, bytes }) => head.toString("latin1", at, at + bytes.length) === bytes);
  return match?.type ?? null;
}
