// /proc/PID/uid_map and gid_map: which users of the host a machine's users are (user_namespaces(7)).
import { errnoNameOf, invalidArgument } from "../../base/error.ts";
import { openPath } from "../../kernel/file/fd.ts";
import { readRegular } from "../../kernel/file/regular-file.ts";
import { type Identity, namespaceId, sameNamespace, userNamespaceOwnerChain } from "../../kernel/process/namespace.ts";
import type { PidRef } from "../../kernel/process/pidref.ts";
import { unlessErrno } from "../../kernel/syscall/sys.ts";

interface MapLine {
  /** The first id inside, the first id outside, and the number of ids. */
  readonly inside: number;
  readonly outside: number;
  readonly count: number;
}

export type IdKind = "uid" | "gid";

/** Smaller ids belong to the host, larger ones to machines (systemd's UIDS-GIDS.md). */
export const HOST_ID_END = 0x1_0000;
const SHIFT_MIN_COUNT = 65534;
/** The kernel allows 340 lines. */
const MAP_LIMIT_BYTES = 64 * 1024;

/** Parses a map file. Lines that are not three numbers are left out. */
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

interface IdMaps {
  readonly uid: readonly MapLine[];
  readonly gid: readonly MapLine[];
}

/** The map of a process in our own user namespace, where ids are not translated. */
const OWN: IdMaps = (() => {
  const lines = [{ inside: 0, outside: 0, count: 0xffff_ffff }];
  return { uid: lines, gid: lines };
})();
interface Known {
  readonly namespace: string;
  readonly maps: IdMaps;
}

/**
 * The maps by process: a map never changes while the process lives and stays in its user namespace. (Not by namespace:
 * the kernel reuses a namespace's number.)
 */
const known = new WeakMap<PidRef, Known>();
let own: string | null | undefined;

/** Our user namespace; null where the kernel has none. */
function ownNamespace(): string | null {
  return unlessErrno(() => namespaceId("self", "user"), null, "ENOENT");
}

/**
 * Returns the maps of a leader, empty while they have not been written. Throws an error with errno when it has ended.
 */
export function idMapsOf(leader: PidRef): IdMaps {
  if (lastMaps?.leader === leader) return lastMaps.maps;
  const maps = leader.verified(() => findMaps(leader));
  if (lastMaps === null)
    queueMicrotask(() => {
      lastMaps = null;
    });
  lastMaps = { leader, maps };
  return maps;
}

/** Caches the last maps for one turn of the event loop: one reply about a machine needs them several times. */
let lastMaps: { readonly leader: PidRef; readonly maps: IdMaps } | null = null;

function findMaps(leader: PidRef): IdMaps {
  if (own === undefined) own = ownNamespace();
  if (own === null) return OWN;
  const last = known.get(leader);
  const read = () => namespaceId(leader.pid, "user");
  // A process that hangs keeps its namespace.
  const namespace = last === undefined ? read() : unlessErrno(read, last.namespace, "ETIMEDOUT");
  if (last?.namespace === namespace) return last.maps;
  const maps = namespace === own ? OWN : { uid: readIdMap(leader.pid, "uid"), gid: readIdMap(leader.pid, "gid") };
  if (maps.uid.length > 0 && maps.gid.length > 0) known.set(leader, { namespace, maps });
  return maps;
}

/** Returns the lines of a process's map file; none where the kernel has no user namespaces. */
function readIdMap(pid: number, kind: IdKind): MapLine[] {
  try {
    using file = openPath(`/proc/${pid}/${kind}_map`, "read");
    return parseIdMap(readRegular(file, MAP_LIMIT_BYTES).toString());
  } catch (error) {
    if (errnoNameOf(error) !== "ENOENT") throw error;
    namespaceId(pid, "pid"); // throws when it is the process that is missing
    return [];
  }
}

/** Returns the host id of an inner one, or null. */
export function mapOutward(lines: readonly MapLine[], inner: number): number | null {
  for (const { inside, outside, count } of lines) {
    if (inner >= inside && inner < inside + count) return outside + (inner - inside);
  }
  return null;
}

/** Returns the inner id of a host id, or null. Lines that begin at the host's 0 are ignored: they map all ids. */
export function mapInward(lines: readonly MapLine[], outer: number): number | null {
  for (const { inside, outside, count } of lines) {
    if (outside !== 0 && outer >= outside && outer < outside + count) return inside + (outer - outside);
  }
  return null;
}

/**
 * Returns the shift of a machine whose maps are one and the same line from 0; null where the mapping is more complex
 * than a shift.
 */
export function shiftOf({ uid, gid }: IdMaps): number | null {
  const [line] = uid;
  if (uid.length !== 1 || line === undefined || line.inside !== 0 || line.count < SHIFT_MIN_COUNT) return null;
  const [group] = gid;
  const same = gid.length === 1 && group?.inside === 0 && group.outside === line.outside && group.count === line.count;
  return same ? line.outside : null;
}

/**
 * Returns the user and group of this host that a leader's root is; null where its user namespace maps none. Throws an
 * error with errno when the leader has ended.
 */
export function rootOutside(leader: PidRef): Identity | null {
  const maps = idMapsOf(leader);
  const uid = mapOutward(maps.uid, 0);
  const gid = mapOutward(maps.gid, 0);
  return uid === null || gid === null ? null : { uid, gid };
}

/**
 * Whether root in the machine of this leader is, or may be, root of this host: also in a user namespace of its own,
 * which may map users to themselves. Throws an error with errno when the leader is gone.
 */
export function isHostRootInside(leader: PidRef): boolean {
  if (leader.verified(() => sameNamespace(leader.pid, "user"))) return true;
  const root = rootOutside(leader);
  return root === null || root.uid === 0;
}

/**
 * Whether a user could become root in the machine of this leader without any service, and that root is not the host's:
 * the user made its user namespace, or one around it. A process of the user in it is not enough: a container may map
 * that user, for a shared directory, to a user of its own. Throws as isHostRootInside().
 */
export function mayEnter(uid: number, leader: PidRef): boolean {
  if (isHostRootInside(leader)) return false;
  const { owners, reachedOwn } = leader.verified(() => userNamespaceOwnerChain(leader.pid));
  return reachedOwn && owners.includes(uid);
}

/** Throws InvalidArgs, with the name of the field, for a number that is no valid id. */
export function checkId(field: string, value: unknown): number | null {
  if (value === undefined) return null;
  if (typeof value !== "number" || value < 0 || value === 0xffff || value >= 0xffff_ffff) {
    throw invalidArgument(field, "Not a valid id");
  }
  return value;
}
