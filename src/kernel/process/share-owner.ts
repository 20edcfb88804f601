// The user for whom a caller is counted in limits: a user who can act as many UIDs, by subordinate ids, counts as one.
import { existsSync, readFileSync, type Stats, statSync } from "node:fs";
import { meansNoFile } from "../../base/absence.ts";
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
 * Returns the user for whom `uid` is counted in limits: the owner of the subuid(5) range that contains it; `uid` itself
 * where it is below 65536 or logged in (directory services assign any UID); else the first UID of its aligned range
 * of 65536. For an owner who is not in passwd(5), that is the first UID of the owner's first range. Ranges that only
 * NSS modules or services know are not found.
 */
export function shareOwner(uid: number, files = FILES): number {
  for (const { first, count, ownerUid } of rangesNow(files)) {
    if (uid >= first && uid - first < count && uid !== ownerUid) return ownerUid;
  }
  return uid < RANGE || existsSync(`${files.logins}/${uid}`) ? uid : uid - (uid % RANGE);
}

/**
 * Returns the ranges; reads the files again when one of them has changed. Where they cannot be read now (no descriptor
 * is free), returns those that were read last, and the next call reads again.
 */
function rangesNow(files: typeof FILES): readonly OwnedRange[] {
  const before = known.get(files.ranges);
  const [ranges, users] = [statusOf(files.ranges), statusOf(files.users)];
  if (ranges === null || users === null) return before?.ranges ?? [];
  const stamp = [ranges, users].map((status) => `${status?.ino} ${status?.size} ${status?.mtimeMs}`).join(" ");
  if (before?.stamp === stamp) return before.ranges;
  const passwd = readText(files.users, users);
  const text = readText(files.ranges, ranges);
  if (passwd === null || text === null) return before?.ranges ?? [];
  const now = { stamp, ranges: rangesIn(text, passwd) };
  known.set(files.ranges, now);
  return now.ranges;
}

/** Returns undefined for a file that is missing; null for one that cannot be looked at now. */
function statusOf(path: string): Stats | undefined | null {
  try {
    return statSync(path, { throwIfNoEntry: false });
  } catch (error) {
    return meansNoFile(error) ? undefined : null;
  }
}

/** Returns "" for a file that is missing, not regular or too large; null for one that cannot be read now. */
function readText(path: string, status: Stats | undefined): string | null {
  if (status === undefined || !status.isFile() || status.size > LIMIT_BYTES) return "";
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    return meansNoFile(error) ? "" : null;
  }
}

function rangesIn(text: string, passwd: string): OwnedRange[] {
  const firstOf = new Map<string, number>();
  const owned: OwnedRange[] = [];
  for (const range of parseSubordinateRanges(text)) {
    const { owner, first } = range;
    if (!firstOf.has(owner)) firstOf.set(owner, first);
    const isNumber = /^\d+$/.test(owner);
    const ownerUid = isNumber ? Number(owner) : (findUser(passwd, owner)?.uid ?? firstOf.get(owner) ?? first);
    // Ranges of root are for machines of different users.
    if (ownerUid !== 0) owned.push({ ...range, ownerUid });
  }
  return owned;
}
