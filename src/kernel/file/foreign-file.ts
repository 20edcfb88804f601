// Reads files that another user may have put in place or may replace at any moment. Only regular files are accepted:
// the file's kind is checked before it is opened, so that no fifo or device is opened, and again afterwards. Its file
// system may never answer: the asynchronous calls of node:fs are used, whose threads block instead of this one, so that
// signals still work.
import { fstat, lstat, open, read, type Stats, stat } from "node:fs";
import { promisify } from "node:util";
import { ErrnoError } from "../../base/error.ts";
import { O_CLOEXEC, O_NOCTTY, O_NOFOLLOW, O_NONBLOCK } from "../syscall/constants.ts";
import { isErrno, SyscallError } from "../syscall/sys.ts";
import { Fd } from "./fd.ts";
import type { FileKind, LinkPolicy } from "./status.ts";
import { FILE_KINDS } from "./status.ts";

const [openLater, fstatLater, readLater] = [promisify(open), promisify(fstat), promisify(read)];
const [statLater, lstatLater] = [promisify(stat), promisify(lstat)];

const CHUNK_BYTES = 256 << 10;

interface ForeignFile {
  readonly file: Fd;
  readonly size: number;
  readonly mtimeMs: number;
}

function requireRegular(kind: FileKind, path: string): void {
  if (kind === "regular") return;
  const advice = kind === "symlink" ? "; put the file itself there" : "";
  throw new ErrnoError("EBADFD", `'${path}' is a ${kind}, and only regular files are accepted here${advice}.`);
}

function kindOfStats({ mode }: Stats): FileKind {
  return FILE_KINDS[mode >> 12] ?? "other";
}

/**
 * Opens the regular file `path` for reading. Throws EBADFD for other kinds; `links` says whether a symbolic link is
 * followed or refused.
 */
export async function openForeign(path: string, links: LinkPolicy): Promise<ForeignFile> {
  requireRegular(kindOfStats(await (links === "follow" ? statLater : lstatLater)(path)), path);
  const flags = O_NONBLOCK | O_NOCTTY | O_CLOEXEC | (links === "follow" ? 0 : O_NOFOLLOW);
  const file = Fd.adopt(await openLater(path, flags));
  try {
    const status = await fstatLater(file.number);
    requireRegular(kindOfStats(status), path);
    return { file, size: status.size, mtimeMs: status.mtimeMs };
  } catch (error) {
    file.close();
    throw error;
  }
}

/**
 * Returns the content of a regular file. Throws EFBIG where it has more than `limitBytes`, EBADFD where it is not
 * regular.
 */
export async function readForeign(path: string, limitBytes: number, links: LinkPolicy): Promise<Buffer> {
  const { file, size } = await openForeign(path, links);
  using _file = file;
  const tooLarge = () =>
    new ErrnoError("EFBIG", `'${path}' has more than ${limitBytes} bytes. File overly large, refusing.`);
  if (size > limitBytes) throw tooLarge();
  const parts: Buffer[] = [];
  for (let total = 0; ; ) {
    const part = Buffer.allocUnsafeSlow(Math.min(CHUNK_BYTES, limitBytes + 1 - total));
    const { bytesRead } = await readLater(file.number, part, 0, part.length, total);
    if (bytesRead === 0) return Buffer.concat(parts, total);
    total += bytesRead;
    if (total > limitBytes) throw tooLarge();
    parts.push(part.subarray(0, bytesRead));
  }
}

/**
 * As `readForeign()`, for settings of the administrator or the caller: follows links, and throws the kernel's errors as
 * SyscallErrors.
 */
export async function readSettings(path: string, limitBytes: number): Promise<Buffer> {
  try {
    return await readForeign(path, limitBytes, "follow");
  } catch (error) {
    const { code, syscall } = error as NodeJS.ErrnoException;
    throw code !== undefined && syscall !== undefined ? new SyscallError(syscall, code, path) : error;
  }
}

/** As `readSettings()`; returns null where there is no such file. */
export async function readSettingsIfThere(path: string, limitBytes: number): Promise<Buffer | null> {
  try {
    return await readSettings(path, limitBytes);
  } catch (error) {
    if (isErrno(error, "ENOENT")) return null;
    throw error;
  }
}
