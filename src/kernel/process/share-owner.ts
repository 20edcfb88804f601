// Which user a process is counted for: whoever can run as many users through subordinate ids is one.
import { existsSync, readFileSync, type Stats, statSync } from "node:fs";
import { findUser, parseSubordinateRanges, type SubordinateRange } from "../../base/user-database.ts";

/** The ranges of user ids that machines and mappings are given (systemd's UIDS-GIDS.md): a whole one each. */
const RANGE = 0x1_0000;
/** What is larger is not read. */
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
 * The user whose share of what is limited a user takes: the owner of the range of subordinate ids in subuid(5) that the user
 * is in, itself where it is below 65536 or logged in (users of directory services have any number), and the first of 65536
 * users otherwise. A range of an owner that is not in passwd(5) counts as its first user. Ranges that only NSS or a service
 * knows are not looked up.
 */
export function shareOwner(uid: number, files = FILES): number {
  for (const { first, count, ownerUid } of rangesNow(files)) {
    if (uid >= first && uid - first < count && uid !== ownerUid) return ownerUid;
  }
  return uid < RANGE || existsSync(`${files.logins}/${uid}`) ? uid : uid - (uid % RANGE);
}

/** Read again when one of the files has changed. */
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
    // Root's are for machines of different users.
    if (ownerUid !== 0) owned.push({ ...range, ownerUid });
  }
  return owned;
}
