// Versioned images: the newest of the entries `NAME_VERSION[_ARCH][+LEFT[-DONE]]SUFFIX` in a folder `NAME.v` is the
// image (systemd.v(7); versions compare as the UAPI group's "Version Format" says).

/** Every architecture that a name can have: entries of architectures that this host cannot run are ignored. */
const ARCHITECTURES = new Set(
  (
    "x86-64 x86 arm64 arm64-be arm arm-be alpha arc arc-be cris ia64 loongarch64 m68k mips64-le mips-le mips64 mips nios2 " +
    "parisc64 parisc ppc64-le ppc64 ppc ppc-le riscv32 riscv64 s390x s390 sh64 sh sparc64 sparc tilegx"
  ).split(" "),
);

const OURS = process.arch === "arm64" ? ["arm64", "arm"] : ["x86-64", "x86"];

interface VersionedEntry {
  readonly entry: string;
  readonly version: string;
  /** How well it fits this machine: 0 is best. */
  readonly foreignness: number;
  /** Null where attempts are not counted. */
  readonly triesLeft: number | null;
  readonly triesDone: number;
}

/**
 * Reads an entry of the folder of image `name`; returns null when it is no version of it, or for another architecture.
 */
export function parseVersionedEntry(entry: string, name: string, suffix: string): VersionedEntry | null {
  if (!entry.startsWith(`${name}_`) || !entry.endsWith(suffix)) return null;
  if (entry.length <= name.length + 1 + suffix.length) return null;
  const { rest, left, done } = takeTries(entry.slice(name.length + 1, entry.length - suffix.length));
  const { version, architecture } = takeArchitecture(rest);
  const foreignness = architecture === null ? OURS.length : OURS.indexOf(architecture);
  if (!isVersion(version) || foreignness < 0) return null;
  return { entry, version, foreignness, triesLeft: left, triesDone: done };
}

function takeTries(text: string): { rest: string; left: number | null; done: number } {
  const match = /^(.*)\+(\d+)(?:-(\d+))?$/.exec(text);
  if (match === null) return { rest: text, left: null, done: 0 };
  return { rest: match[1] ?? "", left: Number(match[2]), done: Number(match[3] ?? 0) };
}

function takeArchitecture(text: string): { version: string; architecture: string | null } {
  const at = text.lastIndexOf("_");
  const name = at < 0 ? "" : text.slice(at + 1);
  if (!ARCHITECTURES.has(name)) return { version: text, architecture: null };
  return { version: text.slice(0, at), architecture: name };
}

function isUsedUp(entry: VersionedEntry): boolean {
  return entry.triesLeft === 0;
}

/** Orders entries, the preferred one first. */
export function compareEntries(a: VersionedEntry, b: VersionedEntry): number {
  if (isUsedUp(a) !== isUsedUp(b)) return isUsedUp(a) ? 1 : -1;
  return (
    compareVersions(b.version, a.version) ||
    a.foreignness - b.foreignness ||
    (b.triesLeft ?? Number.MAX_SAFE_INTEGER) - (a.triesLeft ?? Number.MAX_SAFE_INTEGER) ||
    a.triesDone - b.triesDone ||
    (a.entry < b.entry ? 1 : -1)
  );
}

const VERSION = /^[A-Za-z0-9._+~^-]+$/;

function isVersion(text: string): boolean {
  return VERSION.test(text);
}

const IGNORED = /^[^A-Za-z0-9.~^-]+/;
/**
 * The separators in a version, in the order of their comparison: at the first difference, the version with the
 * separator is the older one. So `1-2` is older than `1^2`, and that is older than `1.2`.
 */
const SEPARATORS = ["-", "^", "."];

/** Orders versions: negative when `a` is older than `b`. Numbers count as numbers, `~` comes before everything. */
export function compareVersions(a: string, b: string): number {
  let [left, right] = [a, b];
  for (;;) {
    left = left.replace(IGNORED, "");
    right = right.replace(IGNORED, "");
    const tilde = compareSign(left, right, "~");
    if (tilde !== 0) return tilde;
    [left, right] = [skip(left, "~"), skip(right, "~")];
    if (left === "" || right === "") return Math.sign(left.length - right.length);
    for (const sign of SEPARATORS) {
      const order = compareSign(left, right, sign);
      if (order !== 0) return order;
      [left, right] = [skip(left, sign), skip(right, sign)];
    }
    const pattern = /^\d/.test(left) || /^\d/.test(right) ? /^\d*/ : /^[A-Za-z]*/;
    const [first, second] = [pattern.exec(left)?.[0] ?? "", pattern.exec(right)?.[0] ?? ""];
    const order = compareParts(first, second);
    if (order !== 0) return order;
    [left, right] = [left.slice(first.length), right.slice(second.length)];
  }
}

/** Compares only whether the texts begin with `sign`: the one that does is the older one. */
function compareSign(left: string, right: string, sign: string): number {
  return Number(right.startsWith(sign)) - Number(left.startsWith(sign));
}

function skip(text: string, sign: string): string {
  return text.startsWith(sign) ? text.slice(1) : text;
}

function compareParts(left: string, right: string): number {
  if (!/^\d/.test(left + right)) return left < right ? -1 : Number(left > right);
  if (left === "" || right === "") return Math.sign(left.length - right.length);
  const [a, b] = [left.replace(/^0+/, ""), right.replace(/^0+/, "")];
  if (a.length !== b.length) return a.length - b.length;
  return a < b ? -1 : Number(a > b);
}
