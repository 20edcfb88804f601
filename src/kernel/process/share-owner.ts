// The user for whom a caller is counted in limits: a user who can act as many UIDs, by subordinate ids, counts as one.
import { existsSync, readFileSync, type Stats, statSync } from "node:fs";
import { findUser, parseSubordinateRanges, type SubordinateRange } from "../../base/user-database.ts";

/** The size of the UID ranges that are assigned to user namespaces (https://systemd.io/UIDS-GIDS). */
const RANGE = 0x1_0000;
/** Larger files are ignored. */
const LIMIT_BYTES = 4 << 20;

interface OwnedRange extends SubordinateRange {
  readonly ownerUid: number;
}

interface Known {
  readonly stamp: string;
  readonly ranges: readonly OwnedRange[];
}

const FILES = { ranges: "/etc/subuid", users: "/etc/passwd", logins: "/run/systemd/users" };
const known = new Map<string, Known>();

/**
 * Returns the user for whom `uid` is counted in limits: the owner of the subuid(5) range that contains it; `uid` itself where
 * it is below 65536 or logged in (directory services assign any UID); else the first UID of its aligned range of 65536. For
 * an owner who is not in passwd(5), that is the first UID of the owner's first range. Ranges that only NSS modules or
 * services know are not found.
 */
export function shareOwner(uid: number, files = FILES): number {
  for (const { first, count, ownerUid } of rangesNow(files)) {
    if (uid >= first && uid - first < count && uid !== ownerUid) return ownerUid;
  }
  return uid < RANGE || existsSync(`${files.logins}/${uid}`) ? uid : uid - (uid % RANGE);
}

/** Returns the ranges; reads the files again when one of them has changed. */
function rangesNow(files: typeof FILES): readonly OwnedRange[] {
  const [ranges, users] = [statusOf(files.ranges), statusOf(files.users)];
  const stamp = [ranges, users].map((status) => `${status?.ino} ${status?.size} ${status?.mtimeMs}`).join(" ");
  const before = known.get(files.ranges);
  if (before?.stamp === stamp) return before.ranges;
  const now = { stamp, ranges: readRanges(files, ranges, users) };
  known.set(files.ranges, now);
  return now.ranges;
}

function statusOf(path: string): Stats | undefined {
  try {
    return statSync(path, { throwIfNoEntry: false });
  } catch {
    return undefined;
  }
}

function readText(path: string, status: Stats | undefined): string {
  if (status === undefined || !status.isFile() || status.size > LIMIT_BYTES) return "";
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

function readRanges(files: typeof FILES, ranges: Stats | undefined, users: Stats | undefined): OwnedRange[] {
  const passwd = readText(files.users, users);
  const firstOf = new Map<string, number>();
  const owned: OwnedRange[] = [];
  for (const range of parseSubordinateRanges(readText(files.ranges, ranges))) {
    const { owner, first } = range;
    if (!firstOf.has(owner)) firstOf.set(owner, first);
    const isNumber = /^\d+$/.test(owner);
    const ownerUid = isNumber ? Number(owner) : (findUser(passwd, owner)?.uid ?? firstOf.get(owner) ?? first);
    // Ranges of root are for machines of different users.
    if (ownerUid !== 0) owned.push({ ...range, ownerUid });
  }
  return owned;
}
