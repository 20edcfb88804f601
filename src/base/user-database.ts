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

/** Returns the first entry of a passwd(5) text with the given name or UID; null where there is none. */
export function findUser(passwd: string, user: string | number): UserEntry | null {
  for (const line of passwd.split("\n")) {
    const [name = "", , uidText, gidText, , home = "", shell = ""] = line.split(":");
    const [uid, gid] = [parseId(uidText), parseId(gidText)];
    if (uid === null || gid === null || name === "") continue;
    if (user === name || user === uid) return { name, uid, gid, home, shell };
  }
  return null;
}

/** Returns the GIDs of the groups in a group(5) text that list the user as a member. */
export function groupsOfUser(group: string, user: string): number[] {
  const found = new Set<number>();
  for (const line of group.split("\n")) {
    const [, , gidText, members = ""] = line.split(":");
    const gid = parseId(gidText);
    if (gid !== null && members.split(",").includes(user)) found.add(gid);
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

/** Parses the text of a subuid(5) or subgid(5) file. */
export function parseSubordinateRanges(text: string): SubordinateRange[] {
  const ranges: SubordinateRange[] = [];
  for (const line of text.split("\n")) {
    const [owner = "", firstText, countText, more] = line.trim().split(":");
    const [first, count] = [parseId(firstText), parseId(countText)];
    if (owner === "" || first === null || count === null || more !== undefined) continue;
    ranges.push({ owner, first, count });
  }
  return ranges;
}
