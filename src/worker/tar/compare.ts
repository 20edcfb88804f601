// Compares files of two trees in everything that an archive records, contents included: equal times and sizes do not
// prove equal contents.
import { readSync } from "node:fs";
import { attributeNames, getAttribute } from "../../kernel/file/attributes.ts";
import type { Fd } from "../../kernel/file/fd.ts";
import type { RawStatus } from "../../kernel/tree/raw-status.ts";
import { type RawName, readLinkIn } from "../../kernel/tree/tree.ts";
import type { MemberPolicy } from "./members.ts";
import { namingFile } from "./naming-file.ts";

const STEP = 1 << 20;
const NOTHING = Buffer.alloc(0);
const [ours, theirs] = [Buffer.allocUnsafeSlow(STEP), Buffer.allocUnsafeSlow(STEP)];

interface ComparedFile {
  readonly file: Fd;
  readonly status: RawStatus;
}

/** Returns whether two files are equal in everything but the content of regular files. */
export function isSameMember(a: ComparedFile, b: ComparedFile, policy: MemberPolicy): boolean {
  const kind = a.status.kind;
  if (kind !== b.status.kind || describe(a.status) !== describe(b.status)) return false;
  // A file with several names counts as different: which names it has cannot be compared here.
  if (kind !== "directory" && (a.status.links > 1 || b.status.links > 1)) return false;
  if (kind === "symlink" && readLinkIn(a.file, "") !== readLinkIn(b.file, "")) return false;
  return attributesOf(a.file, policy) === attributesOf(b.file, policy);
}

function describe(status: RawStatus): string {
  const { mode, uid, gid, kind, memory } = status;
  const size = kind === "regular" ? status.size : 0;
  const device = kind === "character" || kind === "block" ? status.deviceNumber : 0;
  const time = `${memory.view.getBigInt64(112, true)}.${memory.view.getUint32(120, true)}`;
  return [mode, uid, gid, size, device, time].join(":");
}

function attributesOf(file: Fd, { dropAttribute }: MemberPolicy): string {
  const kept = attributeNames(file).filter((name) => dropAttribute?.(name) !== true);
  return JSON.stringify(kept.sort().map((name) => [name, getAttribute(file, name)?.toString("base64")]));
}

/**
 * Compares the contents of two files of `size` bytes. Yields an empty buffer after each step, so that other work can
 * run. `path` is their name in errors.
 */
export function* hasSameContent(a: Fd, b: Fd, size: number, path: RawName): Generator<Buffer, boolean> {
  for (let at = 0; at < size; at += STEP) {
    const length = Math.min(STEP, size - at);
    if (!namingFile(path, () => fill(a, ours, length, at) && fill(b, theirs, length, at))) return false;
    if (!ours.subarray(0, length).equals(theirs.subarray(0, length))) return false;
    yield NOTHING;
  }
  return true;
}

/** Reads `length` bytes into `buffer`; returns false where the file is shorter. */
function fill(file: Fd, buffer: Buffer, length: number, position: number): boolean {
  for (let done = 0; done < length; ) {
    const count = readSync(file.number, buffer, done, length - done, position + done);
    if (count === 0) return false;
    done += count;
  }
  return true;
}
