// The version of the host's systemd, for `--version`: scripts derive the features of a host from the number in the
// first line of `machinectl --version`.
import { closeSync, existsSync, openSync, readdirSync, readSync } from "node:fs";
import { INTERFACE_VERSION, PROGRAM_VERSION } from "../../base/vocabulary/version.ts";

/** The paths of the service manager in distributions. */
const MANAGERS = ["/usr/lib/systemd/systemd", "/lib/systemd/systemd"] as const;
const TIMEOUT_MS = 5000;
/** The directories of the library with the code that all programs of systemd share. */
const LIBRARY_DIRECTORIES = [
  "/usr/lib/systemd",
  "/usr/lib64/systemd",
  "/usr/lib/x86_64-linux-gnu/systemd",
  "/usr/lib/aarch64-linux-gnu/systemd",
] as const;
const CHUNK_BYTES = 256 << 10;
/** The longest text of a version, with what is before it. */
const LONGEST = 128;

/** Returns the first line of `systemd --version` of the host; null where it has no systemd or that cannot be run. */
export function hostVersionLine(
  managers: readonly string[] = MANAGERS,
  libraryDirectories: readonly string[] = LIBRARY_DIRECTORIES,
): string | null {
  const manager = managers.find((path) => existsSync(path));
  if (manager === undefined) return null;
  return writtenVersion(libraryDirectories) ?? printedVersion(manager);
}

/**
 * Returns the line from the text of the library, which takes a tenth of the time of `systemd --version`; null unless
 * there is exactly one such library and it has the text in a known form.
 */
function writtenVersion(directories: readonly string[]): string | null {
  try {
    const libraries = directories
      .filter((directory) => existsSync(directory))
      .flatMap((directory) => readdirSync(directory).map((name) => `${directory}/${name}`))
      .filter((path) => /\/libsystemd-shared-\d[^/]*\.so$/.test(path));
    const [path = ""] = libraries;
    const [, release] = /-(\d+)[^/]*$/.exec(path.slice(path.lastIndexOf("/"))) ?? [];
    if (libraries.length !== 1 || release === undefined) return null;
    // The form of systemd before 257, and that of newer releases.
    const detail = textBehind(path, [`systemd ${release} (`, "systemd %i%s ("]);
    return detail === null ? null : `systemd ${release} (${detail})`;
  } catch {
    return null;
  }
}

/** Returns what is between one of the texts and the next `)` in a file; null where there is neither. */
function textBehind(path: string, texts: readonly string[]): string | null {
  const file = openSync(path, "r");
  try {
    const chunk = Buffer.allocUnsafe(LONGEST + CHUNK_BYTES);
    // The end of each chunk is searched again with the next one.
    for (let kept = 0; ; kept = LONGEST) {
      const count = readSync(file, chunk, kept, CHUNK_BYTES, null);
      const bytes = chunk.subarray(0, kept + count);
      for (const text of texts) {
        const start = bytes.indexOf(text);
        if (start < 0 || start > bytes.length - LONGEST) continue;
        const [, detail = null] =
          /^([^()\s]+)\)/.exec(bytes.toString("latin1", start + text.length, start + LONGEST)) ?? [];
        return detail;
      }
      if (count < CHUNK_BYTES) return null;
      chunk.copyWithin(0, bytes.length - LONGEST, bytes.length);
    }
  } finally {
    closeSync(file);
  }
}

/** Returns the first line that the service manager prints. */
function printedVersion(manager: string): string | null {
  try {
    const options = { stdin: "ignore", stdout: "pipe", stderr: "ignore", env: {}, timeout: TIMEOUT_MS } as const;
    const { stdout } = Bun.spawnSync([manager, "--version"], options);
    return /^systemd \d+[^\n]*/.exec(stdout.toString())?.[0] ?? null;
  } catch {
    return null;
  }
}

/**
 * Returns the text for `--version`: the line of the host's systemd (of the release that we follow where there is none),
 * then a line of this program with its features.
 */
export function versionText(features: readonly string[] = [], hostLine = hostVersionLine()): string {
  const ours = [PROGRAM_VERSION, ...features].join(" ");
  return `${hostLine ?? `systemd ${INTERFACE_VERSION}`}\n${ours}\n`;
}
