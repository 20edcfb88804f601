// Parsers for passwd(5) and group(5) files of a machine, and for subuid(5). The machine is not trusted: malformed lines
// are skipped.

export interface UserEntry {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
  readonly home: string;
  readonly shell: string;
}

/** The highest UID or GID; the next number means "none" to the kernel. */
export const ID_MAX = 0xffff_fffe;

function parseId(text: string | undefined): number | null {
  const id = text !== undefined && /^\d{1,10}$/.test(text) ? Number(text) : Number.NaN;
  return id <= ID_MAX ? id : null;
}

/** Yields the lines of a text one after the other: all of them together take many times the memory of the text. */
function* linesOf(text: string): Generator<string> {
  for (let at = 0, end = 0; end < text.length; at = end + 1) {
    const found = text.indexOf("\n", at);
    end = found < 0 ? text.length : found;
    yield text.slice(at, end);
  }
}

const PASSWD_FIELDS = 7;
const GROUP_FIELDS = 4;
/** The largest number of groups that the kernel takes (NGROUPS_MAX in setgroups(2)). */
const MOST_GROUPS = 65536;

/** Returns the first entry of a passwd(5) text with the given name or UID; null where there is none. */
export function findUser(passwd: string, user: string | number): UserEntry | null {
  for (const line of linesOf(passwd)) {
    const [name = "", , uidText, gidText, , home = "", shell = ""] = line.split(":", PASSWD_FIELDS);
    const [uid, gid] = [parseId(uidText), parseId(gidText)];
    if (uid === null || gid === null || name === "") continue;
    if (user === name || user === uid) return { name, uid, gid, home, shell };
  }
  return null;
}

/** Returns the GIDs of the groups in a group(5) text that list the user as a member, up to MOST_GROUPS. */
export function groupsOfUser(group: string, user: string): number[] {
  const found = new Set<number>();
  // Such a name would match two members.
  if (user.includes(",")) return [];
  for (const line of linesOf(group)) {
    if (found.size === MOST_GROUPS) break;
    const [, , gidText, members = ""] = line.split(":", GROUP_FIELDS);
    const gid = parseId(gidText);
    if (gid !== null && `,${members},`.includes(`,${user},`)) found.add(gid);
  }
  return [...found];
}

/** A range of ids that a user may map in user namespaces. */
export interface SubordinateRange {
  /** A user name, or a UID in digits. */
  readonly owner: string;
  readonly first: number;
  readonly count: number;
}

const SUBORDINATE_FIELDS = 3;

/** Parses the text of a subuid(5) or subgid(5) file. */
export function parseSubordinateRanges(text: string): SubordinateRange[] {
  const ranges: SubordinateRange[] = [];
  for (const line of linesOf(text)) {
    const [owner = "", firstText, countText, more] = line.trim().split(":", SUBORDINATE_FIELDS + 1);
    const [first, count] = [parseId(firstText), parseId(countText)];
    if (owner === "" || first === null || count === null || more !== undefined) continue;
    ranges.push({ owner, first, count });
  }
  return ranges;
}
