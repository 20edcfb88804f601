// How setup reads and writes files: every new file appears whole under its name (written beside it, then renamed), and
// a program that runs is never written into.

import {
  closeSync,
  constants,
  copyFileSync,
  fchmodSync,
  fchownSync,
  fsyncSync,
  lstatSync,
  openSync,
  readlinkSync,
  readSync,
  renameSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { explain } from "./setup-error.ts";

/** What stands at a path; null where nothing does. */
export type Found =
  | { readonly kind: "file"; readonly sha256: string }
  | { readonly kind: "link"; readonly target: string }
  | { readonly kind: "directory" }
  | { readonly kind: "other" };

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

export function hashOfText(text: string): string {
  return new Bun.CryptoHasher("sha256").update(text).digest("hex");
}

/** Reads in pieces: the executable is a hundred megabytes. */
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

export function writeText(path: string, text: string): void {
  writeBytes(path, Buffer.from(text));
}

/** A text that is a program. */
export function writeScript(path: string, text: string): void {
  writeBytes(path, Buffer.from(text), 0o755);
}

export function writeBytes(path: string, bytes: Uint8Array, mode = 0o644): void {
  replaceWith(path, (temporary) => {
    writeFileSync(temporary, bytes, { flag: "wx" });
    settle(temporary, mode);
  });
}

export function writeLink(path: string, target: string): void {
  replaceWith(path, (temporary) => symlinkSync(target, temporary));
}

export function copyProgram(source: string, path: string): void {
  replaceWith(path, (temporary) => {
    copyFileSync(source, temporary, constants.COPYFILE_FICLONE | constants.COPYFILE_EXCL);
    settle(temporary, 0o755);
  });
}

/** Mode and owner do not depend on the caller's umask or on the file that was copied; the bytes are on the disk. */
function settle(path: string, mode: number): void {
  const fd = openSync(path, "r+");
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

function replaceWith(path: string, write: (temporary: string) => void): void {
  const temporary = join(dirname(path), `.${basename(path)}.machined-new`);
  // Left over from an installation that was cut short.
  if (lstatSync(temporary, { throwIfNoEntry: false }) !== undefined) unlinkSync(temporary);
  try {
    write(temporary);
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
}
