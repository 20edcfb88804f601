// The used space of btrfs subvolumes, and limits on it: quota groups. The leaf group ("0/ID") counts a subvolume alone;
// a group of the same id on a higher level ("255/ID") counts it with its nested subvolumes, as systemd sets it up. See
// btrfs-qgroup(8), btrfs-quota(8).
import { type Fd, ioctl } from "../file/fd.ts";
import { pinForever } from "../syscall/mem.ts";
import { isErrno, unlessErrno } from "../syscall/sys.ts";

const IOC_TREE_SEARCH = 0xd000_9411;
const IOC_QUOTA_CTL = 0xc010_9428;
const IOC_QGROUP_ASSIGN = 0x4018_9429;
const IOC_QGROUP_CREATE = 0x4010_942a;
const IOC_QGROUP_LIMIT = 0x8030_942b;
const IOC_QUOTA_RESCAN = 0x4040_942c;
const IOC_QUOTA_RESCAN_STATUS = 0x8040_942d;

const QUOTA_TREE = 8n;
const QUOTA_ENABLE = 1n;
const STATUS_ITEM = 240;
const INCONSISTENT = 4n;
const INFO_ITEM = 242;
const LIMIT_ITEM = 244;
const RELATION_ITEM = 246;
const LIMIT_REFERENCED = 1n;
const LIMIT_EXCLUSIVE = 2n;
const LEVEL_SHIFT = 48n;
const TOP_LEVEL = 255n;

/** The value for no limit, and for used space that is not known. */
export const UNLIMITED = 0xffff_ffff_ffff_ffffn;

/**
 * Bytes; the exclusive ones are not shared with other subvolumes. A limit is UNLIMITED for none, used space is for not
 * known.
 */
export interface SubvolumeSpace {
  readonly usage: bigint;
  readonly usageExclusive: bigint;
  readonly limit: bigint;
  readonly limitExclusive: bigint;
}

interface Item {
  readonly id: bigint;
  readonly type: number;
  readonly offset: bigint;
  readonly data: Buffer;
}

/*
 * struct btrfs_ioctl_search_args { struct btrfs_ioctl_search_key {
 *    0 tree_id; 8 min_objectid; 16 max_objectid; 24 min_offset; 32 max_offset; 40 min_transid; 48 max_transid;
 *   56 u32 min_type; 60 u32 max_type; 64 u32 nr_items; 68 ... }; 104 char buf[3992]; }
 * struct btrfs_ioctl_search_header { 0 transid; 8 objectid; 16 offset; 24 u32 type; 28 u32 len; } 32 bytes, then the
 * item
 */
const search = pinForever(4096);
const HEADER_SIZE = 32;
const ITEMS_AT_ONCE = 256;

/**
 * Returns the items of one type in the quota tree, of the object `of` (null: 0), with offsets in a range; null where
 * quota is off.
 */
function quotaItems(fd: Fd, type: number, of: bigint | null, offsets: readonly [bigint, bigint]): Item[] | null {
  const items: Item[] = [];
  let [from, to] = offsets;
  for (;;) {
    const { view } = search;
    search.bytes.fill(0);
    view.setBigUint64(0, QUOTA_TREE, true);
    view.setBigUint64(8, of ?? 0n, true);
    view.setBigUint64(16, of ?? 0n, true);
    view.setBigUint64(24, from, true);
    view.setBigUint64(32, to, true);
    view.setBigUint64(48, UNLIMITED, true);
    view.setUint32(56, type, true);
    view.setUint32(60, type, true);
    view.setUint32(64, ITEMS_AT_ONCE, true);
    if (!searchTree(fd)) return null;
    const count = view.getUint32(64, true);
    if (count === 0) return items;
    let at = 104;
    for (let n = 0; n < count; n++) {
      const length = view.getUint32(at + 28, true);
      items.push({
        id: view.getBigUint64(at + 8, true),
        offset: view.getBigUint64(at + 16, true),
        type: view.getUint32(at + 24, true),
        data: Buffer.from(search.bytes.subarray(at + HEADER_SIZE, at + HEADER_SIZE + length)),
      });
      at += HEADER_SIZE + length;
    }
    const last = items.at(-1);
    if (last === undefined || last.offset >= to) return items;
    from = last.offset + 1n;
    to = offsets[1];
  }
}

/** Runs a search; false where the quota tree does not exist. */
function searchTree(fd: Fd): boolean {
  return unlessErrno(() => ioctl(fd, IOC_TREE_SEARCH, search), null, "ENOENT") !== null;
}

/** Returns whether quota is enabled on the file system of `fd`. */
export function isQuotaEnabled(fd: Fd): boolean {
  return quotaItems(fd, INFO_ITEM, null, [0n, 0n]) !== null;
}

// struct btrfs_ioctl_quota_rescan_args { 0 flags; 8 progress; 16 reserved[6]; }
const rescan = pinForever(64);

/** Whether a rescan is running, so that the numbers are not valid yet. */
function isCounting(fd: Fd): boolean {
  ioctl(fd, IOC_QUOTA_RESCAN_STATUS, rescan);
  return rescan.view.getBigUint64(0, true) !== 0n;
}

function split(group: bigint): { level: bigint; id: bigint } {
  return { level: group >> LEVEL_SHIFT, id: group & ((1n << LEVEL_SHIFT) - 1n) };
}

function join(level: bigint, id: bigint): bigint {
  return (level << LEVEL_SHIFT) | id;
}

/**
 * Returns the groups that contain a group. The tree has each relation in both directions; parents have a higher level.
 */
function parentsOf(fd: Fd, group: bigint): bigint[] {
  const related = quotaItems(fd, RELATION_ITEM, group, [0n, UNLIMITED]) ?? [];
  return related.map(({ offset }) => offset).filter((other) => split(other).level > split(group).level);
}

/** Returns the group that counts a subvolume with its nested ones; its leaf group where there is no such group. */
export function subtreeGroup(fd: Fd, subvolume: bigint): bigint {
  const own = parentsOf(fd, subvolume).filter((group) => split(group).id === subvolume);
  return own.reduce((lowest, group) => (lowest === subvolume || group < lowest ? group : lowest), subvolume);
}

/**
 * Returns used space and limits of a subvolume; null where quota is disabled. While a rescan is running, the used space
 * is unknown, all ones.
 */
export function subvolumeSpace(fd: Fd, subvolume: bigint): SubvolumeSpace | null {
  if (!isQuotaEnabled(fd)) return null;
  const group = subtreeGroup(fd, subvolume);
  const used = quotaItems(fd, INFO_ITEM, null, [group, group])?.[0];
  if (used === undefined) return null;
  const limit = quotaItems(fd, LIMIT_ITEM, null, [group, group])?.[0];
  const flags = limit?.data.readBigUInt64LE(0) ?? 0n;
  const maximum = (flag: bigint, at: number) => {
    const bytes = (flags & flag) === 0n ? 0n : (limit?.data.readBigUInt64LE(at) ?? 0n);
    return bytes === 0n ? UNLIMITED : bytes;
  };
  const isKnown = !isCounting(fd);
  return {
    usage: isKnown ? used.data.readBigUInt64LE(8) : UNLIMITED,
    usageExclusive: isKnown ? used.data.readBigUInt64LE(24) : UNLIMITED,
    limit: maximum(LIMIT_REFERENCED, 8),
    limitExclusive: maximum(LIMIT_EXCLUSIVE, 16),
  };
}

const numbers = pinForever(48);

function command(fd: Fd, request: number, ...values: bigint[]): void {
  numbers.bytes.fill(0);
  for (const [index, value] of values.entries()) numbers.view.setBigUint64(index * 8, value, true);
  ioctl(fd, request, numbers);
}

/**
 * Starts counting anew where the kernel has given up: shared data gets another group by a snapshot or by an assignment.
 * Until then it counts nothing and holds no limit. The count runs in the background.
 */
function countAgain(fd: Fd): void {
  // struct btrfs_qgroup_status_item { 0 version; 8 generation; 16 flags; 24 rescan; }
  const state = quotaItems(fd, STATUS_ITEM, null, [0n, 0n])?.[0];
  if (state === undefined || (state.data.readBigUInt64LE(16) & INCONSISTENT) === 0n) return;
  rescan.bytes.fill(0);
  unlessErrno(() => ioctl(fd, IOC_QUOTA_RESCAN, rescan), 0, "EINPROGRESS");
}

/** Enables quota for the whole file system. The kernel then counts all data once, and every later write costs more. */
export function enableQuota(fd: Fd): void {
  if (!isQuotaEnabled(fd)) command(fd, IOC_QUOTA_CTL, QUOTA_ENABLE, 0n);
}

/**
 * Limits the bytes that a group refers to; UNLIMITED removes the limit. Throws `ENOENT` where the kernel has not made
 * the group yet.
 */
export function limitGroup(fd: Fd, group: bigint, bytes: bigint): void {
  command(fd, IOC_QGROUP_LIMIT, group, LIMIT_REFERENCED, bytes);
}

/** Calls `act`; ignores EEXIST. */
function unlessThere(act: () => void): void {
  try {
    act();
  } catch (error) {
    if (!isErrno(error, "EEXIST")) throw error;
  }
}

/**
 * Makes a subtree group for a subvolume, unless its leaf group is in a group already. The new group is one level below
 * the lowest group of the parent subvolume and a member of the parent's groups, so that the parent's limit applies.
 */
export function insertSubtreeGroup(fd: Fd, subvolume: bigint, parent: bigint): void {
  insertGroup(fd, subvolume, parent);
  countAgain(fd);
}

function insertGroup(fd: Fd, subvolume: bigint, parent: bigint): void {
  if (parentsOf(fd, subvolume).length > 0) return;
  const above = parent === 0n ? [] : parentsOf(fd, parent);
  const lowest = Math.min(Number(TOP_LEVEL) + 1, ...above.map((group) => Number(split(group).level)));
  const level = BigInt(lowest - 1);
  if (level < 1n) return;
  const group = join(level, subvolume);
  unlessThere(() => command(fd, IOC_QGROUP_CREATE, 1n, group));
  for (const higher of above) unlessThere(() => command(fd, IOC_QGROUP_ASSIGN, 1n, group, higher));
  unlessThere(() => command(fd, IOC_QGROUP_ASSIGN, 1n, subvolume, group));
}

/** Removes the subtree group and leaf group of a subvolume that is being removed. */
export function removeGroups(fd: Fd, subvolume: bigint): void {
  if (!isQuotaEnabled(fd)) return;
  for (const group of parentsOf(fd, subvolume)) {
    command(fd, IOC_QGROUP_ASSIGN, 0n, subvolume, group);
    if (split(group).id !== subvolume) continue;
    for (const higher of parentsOf(fd, group)) command(fd, IOC_QGROUP_ASSIGN, 0n, group, higher);
    command(fd, IOC_QGROUP_CREATE, 0n, group);
  }
  command(fd, IOC_QGROUP_CREATE, 0n, subvolume);
}
