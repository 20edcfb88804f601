// The local time zone as the C library sees it: $TZ or /etc/localtime, zone files (tzfile(5)) and rules (tzset(3)).
// Intl is not used: it has the offsets, but not the abbreviations ("CET", "JST") that the systemd tools print.
import { UTC, type Zone } from "../../base/text/format.ts";
import { parseZoneRule } from "./time-zone-rule.ts";

const DIRECTORY = "/usr/share/zoneinfo";
const HEADER_BYTES = 44;
const MOST_BYTES = 1 << 20;

interface LocalType {
  readonly offsetSeconds: number;
  readonly isDst: boolean;
  readonly abbreviation: string;
}

interface Counts {
  readonly isUt: number;
  readonly isStd: number;
  readonly leap: number;
  readonly transitions: number;
  readonly types: number;
  readonly chars: number;
}

function readCounts(view: DataView, at: number): Counts {
  const [isUt, isStd, leap, transitions, types, chars] = [20, 24, 28, 32, 36, 40].map((o) => view.getUint32(at + o));
  return {
    isUt: isUt ?? 0,
    isStd: isStd ?? 0,
    leap: leap ?? 0,
    transitions: transitions ?? 0,
    types: types ?? 0,
    chars: chars ?? 0,
  };
}

function blockBytes(counts: Counts, timeBytes: number): number {
  const { transitions, types, chars, leap, isStd, isUt } = counts;
  return transitions * (timeBytes + 1) + types * 6 + chars + leap * (timeBytes + 4) + isStd + isUt;
}

function readTypes(bytes: Uint8Array, view: DataView, at: number, counts: Counts): LocalType[] {
  const names = at + counts.types * 6;
  return Array.from({ length: counts.types }, (_, index) => {
    const start = names + view.getUint8(at + index * 6 + 5);
    const end = bytes.indexOf(0, start);
    const abbreviation = Buffer.from(bytes.subarray(start, end)).toString("latin1");
    return {
      offsetSeconds: view.getInt32(at + index * 6),
      isDst: view.getUint8(at + index * 6 + 4) !== 0,
      abbreviation,
    };
  });
}

/** Returns the number of transitions at or before a time, by binary search. */
function countUpTo(transitions: readonly number[], seconds: number): number {
  let [low, high] = [0, transitions.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((transitions[middle] ?? 0) <= seconds) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Parses a zone file of version 1 to 4. Throws a RangeError for other contents. */
export function parseZoneFile(bytes: Uint8Array): Zone {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < HEADER_BYTES || view.getUint32(0) !== 0x545a_6966) throw new RangeError("not a time zone file");
  const isWide = view.getUint8(4) >= 0x32;
  const header = isWide ? HEADER_BYTES + blockBytes(readCounts(view, 0), 4) : 0;
  const counts = readCounts(view, header);
  const timeBytes = isWide ? 8 : 4;
  const times = header + HEADER_BYTES;
  const transitions = Array.from({ length: counts.transitions }, (_, index) =>
    isWide ? Number(view.getBigInt64(times + index * 8)) : view.getInt32(times + index * 4),
  );
  const indices = times + counts.transitions * timeBytes;
  const types = readTypes(bytes, view, indices + counts.transitions, counts);
  const footer = isWide ? Buffer.from(bytes.subarray(header + HEADER_BYTES + blockBytes(counts, 8))).toString() : "";
  const rule = parseZoneRule(footer.trim());
  const before = types.find(({ isDst }) => !isDst) ?? types[0];
  return (seconds) => {
    const count = countUpTo(transitions, seconds);
    if (count === transitions.length && rule !== null) return rule(seconds);
    const type = count === 0 ? before : types[view.getUint8(indices + count - 1)];
    return type ?? UTC(seconds);
  };
}

/** Returns null for a file that cannot be read or parsed: times are then printed in UTC, with its name. */
async function readZone(path: string, read: (path: string) => Promise<Uint8Array>): Promise<Zone | null> {
  try {
    return parseZoneFile(await read(path));
  } catch {
    return null;
  }
}

/** Reads a file of the system by the engine, for which the kernel layer need not be loaded. */
function readTrusted(path: string): Promise<Uint8Array> {
  return Bun.file(path).slice(0, MOST_BYTES).bytes();
}

/** Reads a file that the caller named. Whatever is no regular file is refused: it might not end. */
async function readNamed(path: string): Promise<Uint8Array> {
  const [{ openPath }, { readRegular }] = await Promise.all([
    import("../../kernel/file/fd.ts"),
    import("../../kernel/file/regular-file.ts"),
  ]);
  using file = openPath(path, "read");
  return readRegular(file, MOST_BYTES);
}

/**
 * Returns the zone that `tz`, the value of $TZ, names: a file below the zone directory, an absolute path, or a rule
 * such as `EST5EDT,M3.2.0,M11.1.0`. Without $TZ it is the zone of /etc/localtime. Anything invalid is UTC, as in the C
 * library.
 */
export async function localZone(tz: string | undefined): Promise<Zone> {
  if (tz === undefined) return (await readZone("/etc/localtime", readTrusted)) ?? UTC;
  const name = tz.startsWith(":") ? tz.slice(1) : tz;
  if (name === "") return UTC;
  const file = await readZone(name.startsWith("/") ? name : `${DIRECTORY}/${name}`, readNamed);
  return file ?? (tz.startsWith(":") ? null : parseZoneRule(name)) ?? UTC;
}
