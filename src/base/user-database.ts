// Lines of passwd(5) and group(5), as a machine has them in its own files, and of subuid(5). They come from the machine:
// whatever is no line of the right form is passed over.

export interface UserEntry {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
  readonly home: string;
  readonly shell: string;
}

/** The highest user or group: the number after it means "none" to the kernel. */
export const ID_MAX = 0xffff_fffe;

function parseId(text: string | undefined): number | null {
  const id = text !== undefined && /^\d{1,10}$/.test(text) ? Number(text) : Number.NaN;
  return id <= ID_MAX ? id : null;
}

/** The first user of a passwd(5) file with the given name or number. */
export function findUser(passwd: string, user: string | number): UserEntry | null {
  for (const line of passwd.split("\n")) {
    const [name = "", , uidText, gidText, , home = "", shell = ""] = line.split(":");
    const [uid, gid] = [parseId(uidText), parseId(gidText)];
    if (uid === null || gid === null || name === "") continue;
    if (user === name || user === uid) return { name, uid, gid, home, shell };
  }
  return null;
}

/** The numbers of the groups of a group(5) file that list a user as a member. */
export function groupsOfUser(group: string, user: string): number[] {
  const found = new Set<number>();
  for (const line of group.split("\n")) {
    const [, , gidText, members = ""] = line.split(":");
    const gid = parseId(gidText);
    if (gid !== null && members.split(",").includes(user)) found.add(gid);
  }
  return [...found];
}

/** Ids that a user may map in user namespaces of its own. */
export interface SubordinateRange {
  /** A name, or a number in digits. */
  readonly owner: string;
  readonly first: number;
  readonly count: number;
}

/** The lines of subuid(5) and subgid(5). */
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
