// Reads and writes files for setup. New files are written under a temporary name in the same directory and renamed, so
// that a file is never incomplete, and a running executable is not written to.

import {
  closeSync,
  constants,
  copyFileSync,
  fchmodSync,
  fchownSync,
  fsyncSync,
  lstatSync,
  openSync,
  readdirSync,
  readlinkSync,
  readSync,
  renameSync,
  statSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { unlessNoFile } from "../base/absence.ts";
import { attempt, explain } from "./error.ts";

/** What exists at a path. */
export type Found =
  | { readonly kind: "file"; readonly sha256: string }
  | { readonly kind: "link"; readonly target: string }
  | { readonly kind: "directory" }
  | { readonly kind: "other" };

/** Returns what exists at a path, without following a link; null if nothing does. Throws a SetupError. */
export function look(path: string): Found | null {
  try {
    const status = lstatSync(path, { throwIfNoEntry: false });
    if (status === undefined) return null;
    if (status.isSymbolicLink()) return { kind: "link", target: readlinkSync(path) };
    if (status.isDirectory()) return { kind: "directory" };
    if (status.isFile()) return { kind: "file", sha256: hashOfFile(path) };
    return { kind: "other" };
  } catch (error) {
    throw explain(`look at '${path}'`, error);
  }
}

/**
 * Whether something exists at a path; of a symbolic link, at its target. Throws a SetupError if that cannot be
 * determined, for example because of a disk error: an installed file must not count as missing then.
 */
export function exists(path: string): boolean {
  try {
    return unlessNoFile(() => statSync(path, { throwIfNoEntry: false }) !== undefined, false);
  } catch (error) {
    throw explain(`look at '${path}'`, error);
  }
}

/** Returns the SHA-256 of a text in hex. */
export function hashOfText(text: string): string {
  return new Bun.CryptoHasher("sha256").update(text).digest("hex");
}

/** Returns the SHA-256 of a file in hex. Reads in pieces, because the executable has a hundred megabytes. */
export function hashOfFile(path: string): string {
  const hasher = new Bun.CryptoHasher("sha256");
  const piece = Buffer.alloc(1 << 20);
  const fd = openSync(path, "r");
  try {
    for (let count = readSync(fd, piece); count > 0; count = readSync(fd, piece))
      hasher.update(piece.subarray(0, count));
  } finally {
    closeSync(fd);
  }
  return hasher.digest("hex");
}

/** Writes a text file, mode 0644. */
export function writeText(path: string, text: string): void {
  writeBytes(path, Buffer.from(text));
}

/** Writes an executable script, mode 0755. */
export function writeScript(path: string, text: string): void {
  writeBytes(path, Buffer.from(text), 0o755);
}

/** Writes a file. */
export function writeBytes(path: string, bytes: Uint8Array, mode = 0o644): void {
  replaceWith(path, (temporary) => {
    writeFileSync(temporary, bytes, { flag: "wx" });
    settle(temporary, mode);
  });
}

/** Makes a symbolic link. */
export function writeLink(path: string, target: string): void {
  replaceWith(path, (temporary) => symlinkSync(target, temporary));
}

/** Copies an executable, mode 0755; shares its blocks where the file system can. */
export function copyProgram(source: string, path: string): void {
  replaceWith(path, (temporary) => {
    copyFileSync(source, temporary, constants.COPYFILE_FICLONE | constants.COPYFILE_EXCL);
    settle(temporary, 0o755);
  });
}

/**
 * Sets mode and owner, independent of the umask and of the copied file, and waits until the contents are on the disk.
 */
function settle(path: string, mode: number): void {
  // For reading: a copy has the mode of the executable, which may be one that nobody may write.
  const fd = openSync(path, "r");
  try {
    fchmodSync(fd, mode);
    const uid = process.getuid?.() ?? 0;
    const gid = process.getgid?.() ?? 0;
    fchownSync(fd, uid, gid);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

const TEMPORARY_SUFFIX = ".machined-new";

function temporaryOf(path: string): string {
  return join(dirname(path), `.${basename(path)}${TEMPORARY_SUFFIX}`);
}

/** Removes the temporary file that an interrupted installation has left beside `path`. Throws a SetupError. */
export function removeTemporary(path: string): void {
  const temporary = temporaryOf(path);
  attempt(`remove '${temporary}'`, () => {
    // Checked first, because on a read-only file system the removal fails also for a file that does not exist.
    const found = unlessNoFile(() => lstatSync(temporary, { throwIfNoEntry: false }), undefined);
    if (found !== undefined && !found.isDirectory()) unlinkSync(temporary);
  });
}

/**
 * Removes all temporary files of interrupted installations in a directory, which may be missing. Throws a SetupError.
 */
export function removeTemporariesIn(directory: string): void {
  for (const name of unlessNoFile(() => readdirSync(directory), [])) {
    const path = join(directory, name);
    if (name.endsWith(TEMPORARY_SUFFIX)) attempt(`remove '${path}'`, () => unlinkSync(path));
  }
}

/** Calls `write` with a temporary path, and renames the result to `path`. */
function replaceWith(path: string, write: (temporary: string) => void): void {
  removeTemporary(path);
  const temporary = temporaryOf(path);
  try {
    write(temporary);
    renameSync(temporary, path);
  } catch (error) {
    removeTemporary(path);
    throw error;
  }
}
