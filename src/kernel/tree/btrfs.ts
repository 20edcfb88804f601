// Subvolumes of btrfs: detects, makes, snapshots and removes them. See btrfs-ioctl(2), btrfs-subvolume(8).
import { type Fd, ioctl, openAt, statFd } from "../file/fd.ts";
import { fileSystemOf } from "../file/file-system.ts";
import { type Pinned, pinForever } from "../syscall/mem.ts";
import { SyscallError } from "../syscall/sys.ts";
import { type RawName, textOf } from "./tree.ts";

const BTRFS_MAGIC = 0x9123683e;
/** The inode number of every subvolume's top directory. */
const TOP_INODE = 256n;

const IOC_SUBVOL_CREATE = 0x5000_940e;
const IOC_SNAP_DESTROY = 0x5000_940f;
const IOC_SNAP_CREATE_V2 = 0x5000_9417;
const IOC_SUBVOL_GETFLAGS = 0x8008_9419;
const IOC_SUBVOL_SETFLAGS = 0x4008_941a;
const IOC_GET_SUBVOL_INFO = 0x81f8_943c;
const IOC_GET_SUBVOL_ROOTREF = 0xd000_943d;
const IOC_INO_LOOKUP_USER = 0xd000_943e;
const IOC_FS_INFO = 0x8400_941f;
const SUBVOL_READ_ONLY = 1n << 1n;

/** Returns whether a file is on btrfs. */
export function isBtrfs(fd: Fd): boolean {
  return fileSystemOf(fd).type === BTRFS_MAGIC;
}

/** Returns whether an open directory is the top of a subvolume. */
export function isSubvolume(fd: Fd): boolean {
  const { kind, ino } = statFd(fd);
  return kind === "directory" && ino === TOP_INODE && isBtrfs(fd);
}

// struct btrfs_ioctl_fs_info_args { 0 max_id; 8 num_devices; 16 fsid[16]; … } 1024 bytes
const fileSystemInfo = pinForever(1024);

/** Returns the UUID of a file system. Device numbers differ between subvolumes of one file system. */
function fileSystemId(fd: Fd): string {
  fileSystemInfo.bytes.fill(0);
  ioctl(fd, IOC_FS_INFO, fileSystemInfo);
  return fileSystemInfo.bytes.toString("hex", 16, 32);
}

/** Returns the highest ancestor of a directory on btrfs (or the directory itself) that is on the same file system. */
export function outermostDirectory(directory: Fd): Fd {
  const id = fileSystemId(directory);
  for (let top = directory.duplicate(); ; ) {
    // Closes what it holds: `top` on failure, `above` where that is not on the file system, and otherwise `top`.
    using owner = new DisposableStack();
    owner.use(top);
    const above = openAt(top, "..", "directory");
    owner.use(above);
    const [here, there] = [statFd(top), statFd(above)];
    const isRoot = here.ino === there.ino && here.dev === there.dev;
    if (isRoot || !isBtrfs(above) || fileSystemId(above) !== id) {
      owner.move();
      above.close();
      return top;
    }
    owner.move();
    top.close();
    top = above;
  }
}

/**
 * Returns whether a directory with this inode number can be the top of a subvolume: a cheap test before isSubvolume().
 */
export function mayBeSubvolume(ino: bigint): boolean {
  return ino === TOP_INODE;
}

interface SubvolumeInfo {
  readonly id: bigint;
  /** 0 for the top of the file system, and for a removed subvolume that the kernel is still deleting. */
  readonly parentId: bigint;
  readonly readOnly: boolean;
  readonly createdUsec: bigint;
  readonly changedUsec: bigint;
}

// struct btrfs_ioctl_get_subvol_info_args { 0 treeid; 8 name[256]; 264 parent_id; 272 dirid; 280 generation; 288 flags;
//   296 uuids; 344 transids; 376 ctime { u64 sec; u32 nsec; }; 392 otime; 408 stime; 424 rtime; 440 reserved }, in all
//   504 bytes
const info = pinForever(504);

/**
 * Returns information about a subvolume, which is open for reading. Throws `ENOTTY` or `EINVAL` where it is not a
 * subvolume.
 */
export function subvolumeInfo(fd: Fd): SubvolumeInfo {
  ioctl(fd, IOC_GET_SUBVOL_INFO, info);
  const { view } = info;
  const time = (at: number) =>
    view.getBigUint64(at, true) * 1_000_000n + BigInt(Math.floor(view.getUint32(at + 8, true) / 1000));
  return {
    id: view.getBigUint64(0, true),
    parentId: view.getBigUint64(264, true),
    readOnly: (view.getBigUint64(288, true) & 1n) !== 0n,
    createdUsec: time(392),
    changedUsec: time(376),
  };
}

const subvolumeFlags = pinForever(8);

/** Makes a subvolume read-only or writable. */
export function setSubvolumeReadOnly(fd: Fd, readOnly: boolean): void {
  ioctl(fd, IOC_SUBVOL_GETFLAGS, subvolumeFlags);
  const old = subvolumeFlags.view.getBigUint64(0, true);
  const wanted = readOnly ? old | SUBVOL_READ_ONLY : old & ~SUBVOL_READ_ONLY;
  if (wanted === old) return;
  subvolumeFlags.view.setBigUint64(0, wanted, true);
  ioctl(fd, IOC_SUBVOL_SETFLAGS, subvolumeFlags);
}

// struct btrfs_ioctl_vol_args { 0 s64 fd; 8 char name[4088]; }
const volume = pinForever(4096);
// struct btrfs_ioctl_vol_args_v2 { 0 s64 fd; 8 transid; 16 flags; 24 unused[4]; 56 char name[4040]; }
const volume2 = pinForever(4096);
const NAME_MAX = 255;

function putName(args: Pinned, at: number, name: RawName): void {
  if (name === "" || name.length > NAME_MAX || name.includes("/") || name.includes("\0")) {
    throw new SyscallError("subvolume", "EINVAL", textOf(name));
  }
  args.bytes.fill(0);
  args.bytes.write(name, at, "latin1");
}

/** Makes the empty subvolume `name` in `parent`. The umask applies. Throws `EEXIST` where the name is taken. */
export function createSubvolume(parent: Fd, name: RawName): void {
  putName(volume, 8, name);
  ioctl(parent, IOC_SUBVOL_CREATE, volume);
}

/** Makes a writable snapshot `name` in `parent` of one subvolume; nested subvolumes become empty directories in it. */
export function snapshotSubvolume(source: Fd, parent: Fd, name: RawName): void {
  putName(volume2, 56, name);
  volume2.view.setBigInt64(0, BigInt(source.number), true);
  ioctl(parent, IOC_SNAP_CREATE_V2, volume2);
}

/**
 * Removes the subvolume `name` of `parent`. Throws `ENOTEMPTY` where it has nested ones, `EPERM` or `EROFS` where it is
 * read-only.
 */
export function removeSubvolume(parent: Fd, name: RawName): void {
  putName(volume, 8, name);
  ioctl(parent, IOC_SNAP_DESTROY, volume);
}

export interface NestedSubvolume {
  readonly id: bigint;
  /** The path of its directory below the top: empty, or ending in a slash. Bytes, as the name. */
  readonly directory: RawName;
  readonly name: RawName;
}

// struct btrfs_ioctl_get_subvol_rootref_args { 0 min_treeid; 8 { treeid; dirid; } rootref[255]; 4088 u8 num_items; }
const references = pinForever(4096);
// struct btrfs_ioctl_ino_lookup_user_args { 0 dirid; 8 treeid; 16 name[256]; 272 path[3824]; }
const lookup = pinForever(4096);
const MORE_REFERENCES = "EOVERFLOW";

/** Returns the subvolumes that are nested directly in the one whose top directory is given. */
export function nestedSubvolumes(top: Fd): NestedSubvolume[] {
  const found: NestedSubvolume[] = [];
  let from = 0n;
  for (;;) {
    references.bytes.fill(0);
    references.view.setBigUint64(0, from, true);
    const isLast = listReferences(top);
    const rows = Array.from({ length: references.view.getUint8(4088) }, (_, index) => ({
      id: references.view.getBigUint64(8 + index * 16, true),
      directory: references.view.getBigUint64(16 + index * 16, true),
    }));
    for (const { id, directory } of rows) found.push({ id, ...nestedPlace(top, id, directory) });
    const last = rows.at(-1);
    if (isLast || last === undefined) return found;
    from = last.id + 1n;
  }
}

/** Reads up to 255 references; returns false where there are more. */
function listReferences(top: Fd): boolean {
  try {
    ioctl(top, IOC_GET_SUBVOL_ROOTREF, references);
    return true;
  } catch (error) {
    if ((error as SyscallError).errnoName === MORE_REFERENCES) return false;
    throw error;
  }
}

function nestedPlace(top: Fd, id: bigint, directory: bigint): { directory: RawName; name: RawName } {
  lookup.bytes.fill(0);
  lookup.view.setBigUint64(0, directory, true);
  lookup.view.setBigUint64(8, id, true);
  ioctl(top, IOC_INO_LOOKUP_USER, lookup);
  const text = (at: number) => lookup.bytes.toString("latin1", at, lookup.bytes.indexOf(0, at));
  return { directory: text(272), name: text(16) };
}
