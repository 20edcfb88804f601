// The trees in a disk image: which partitions hold the root and /usr, and their metadata. For short-lived workers,
// because the mounted file systems are not trusted (systemd-dissect(1), the Discoverable Partitions Specification).

import { type Fd, openPath } from "../../kernel/file/fd.ts";
import { mountDetached } from "../../kernel/mount/detached.ts";
import { type DiskFileSystem, fileSystemAt } from "../../kernel/mount/disk-file-system.ts";
import { type Partition, readPartitions } from "../../kernel/mount/gpt.ts";
import { attachLoop } from "../../kernel/mount/loop.ts";
import { SyscallError } from "../../kernel/syscall/sys.ts";
import { type ImageMetadata, readMetadata } from "./metadata.ts";
import { compareVersions } from "./version.ts";

/** Partition types by what they hold, for this machine's architecture and its secondary one. */
const ROOT_TYPES =
  process.arch === "arm64"
    ? ["b921b045-1df0-41c3-af44-4c6f280d3fae", "69dad710-2ce4-4e3c-b16c-21a1d49abed3"]
    : ["4f68bce3-e8cd-4db1-96e7-fbcaf984b709", "44479540-f297-41b2-9af7-d131d5f0458a"];
const USR_TYPES =
  process.arch === "arm64"
    ? ["b0e01050-ee5f-4390-949a-9101b17104e9", "7d0359a3-02b3-4f0a-865c-654403e70625"]
    : ["8484680c-9521-48c6-9c11-b0720656f69e", "75250d76-8cc6-458e-bd66-bd47cc81a812"];
const GENERIC_TYPES = ["0fc63daf-8483-4772-8e79-3d69d8477de4", "mbr-83"];
/** The flag "no auto": do not mount this partition automatically. */
const NO_AUTO = 1n << 63n;

/** Mount options by which a file system is read without writing to it and without a repair. */
const OPTIONS: Readonly<Record<DiskFileSystem, readonly string[]>> = {
  ext4: ["noload"],
  xfs: ["norecovery", "nouuid"],
  btrfs: ["rescue=nologreplay"],
  erofs: [],
  squashfs: [],
  vfat: [],
};

interface Part {
  readonly offset: number;
  /** 0: to the end of the device. */
  readonly size: number;
}

const WHOLE: Part = { offset: 0, size: 0 };

/**
 * Returns the metadata of a disk image. Throws `ENOPKG` without partitions and file system, `ENXIO` without a root or
 * /usr, `ENOTUNIQ` where several could be the root, `EUCLEAN` for a broken table, `EPROTONOSUPPORT` for other file
 * systems.
 */
export function diskMetadata(path: string): ImageMetadata {
  using disk = openPath(path, "read");
  const { root, usr } = findTrees(disk);
  using rootTree = root === null ? null : mountPart(disk, root);
  using usrTree = usr === null ? null : mountPart(disk, usr);
  return readMetadata(rootTree, usrTree);
}

function findTrees(disk: Fd): { root: Part | null; usr: Part | null } {
  if (fileSystemAt(disk, 0) !== null) return { root: WHOLE, usr: null };
  const partitions = readPartitions(disk)?.filter(({ attributes }) => (attributes & NO_AUTO) === 0n);
  if (partitions === undefined) throw new SyscallError("dissect", "ENOPKG");
  const [root, usr] = [pick(partitions, ROOT_TYPES), pick(partitions, USR_TYPES)];
  if (root !== null || usr !== null) return { root, usr };
  const generic = partitions.filter(({ type }) => GENERIC_TYPES.includes(type));
  if (generic.length > 1) throw new SyscallError("dissect", "ENOTUNIQ");
  if (generic[0] === undefined) throw new SyscallError("dissect", "ENXIO");
  return { root: generic[0], usr: null };
}

/** Returns the first partition of the preferred type; of several versions of a system the one with the newest label. */
function pick(partitions: readonly Partition[], types: readonly string[]): Partition | null {
  for (const type of types) {
    const found = partitions.filter((partition) => partition.type === type);
    const [best] = found.sort((a, b) => compareVersions(b.label, a.label));
    if (best !== undefined) return best;
  }
  return null;
}

function mountPart(disk: Fd, { offset, size }: Part): Fd {
  const type = fileSystemAt(disk, offset);
  if (type === null || type === "crypto_LUKS") throw new SyscallError("mount", "EPROTONOSUPPORT");
  using loop = attachLoop(disk, offset, size);
  return mountDetached(type, loop.path, OPTIONS[type]);
}
