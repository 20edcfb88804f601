// /proc/PID/uid_map and gid_map: which users of the host stand behind a machine's users (user_namespaces(7)).
import { readFileSync } from "node:fs";

export interface MapLine {
  /** First id inside, first id outside, how many. */
  readonly inside: number;
  readonly outside: number;
  readonly count: number;
}

export type IdKind = "uid" | "gid";

/** Ids below are the host's own, above this machines' (systemd's UIDS-GIDS.md). */
export const HOST_ID_END = 0x1_0000;
const SHIFT_MIN_COUNT = 65534;

/** The lines of a map file. What is no line of three numbers is left out. */
export function parseIdMap(text: string): MapLine[] {
  const lines: MapLine[] = [];
  for (const line of text.split("\n")) {
    const words = line.trim().split(/\s+/).map(Number);
    const [inside, outside, count] = words;
    if (words.length !== 3 || words.some((word) => !Number.isInteger(word) || word < 0)) continue;
    lines.push({ inside: inside as number, outside: outside as number, count: count as number });
  }
  return lines;
}

/** The map of a process; null where the kernel has no user namespaces. Throws an error with errno for a dead process. */
export function readIdMap(pid: number, kind: IdKind): MapLine[] | null {
  try {
    return parseIdMap(readFileSync(`/proc/${pid}/${kind}_map`, "latin1"));
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== "ENOENT") throw error;
    readFileSync(`/proc/${pid}/comm`); // throws when it is the process that is missing
    return null;
  }
}

/** The host id behind an inner one, or null. */
export function mapOutward(lines: readonly MapLine[], inner: number): number | null {
  for (const { inside, outside, count } of lines) {
    if (inner >= inside && inner < inside + count) return outside + (inner - inside);
  }
  return null;
}

/** The inner id in front of a host one, or null. Lines that begin at the host's 0 do not count: they map everything. */
export function mapInward(lines: readonly MapLine[], outer: number): number | null {
  for (const { inside, outside, count } of lines) {
    if (outside !== 0 && outer >= outside && outer < outside + count) return inside + (outer - outside);
  }
  return null;
}

/**
 * The shift of a machine whose maps are one and the same line from 0: 0 without a user namespace, null where the
 * mapping is more complex than a shift.
 */
export function shiftOf(uids: readonly MapLine[] | null, gids: readonly MapLine[] | null): number | null {
  if (uids === null) return 0;
  const [line] = uids;
  if (uids.length !== 1 || line === undefined || line.inside !== 0 || line.count < SHIFT_MIN_COUNT) return null;
  const [group] = gids ?? [];
  const same =
    gids?.length === 1 && group?.inside === 0 && group.outside === line.outside && group.count === line.count;
  return same ? line.outside : null;
}
