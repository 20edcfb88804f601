// Marks of a layer on disk, in attributes that overlayfs hides: parts that the archive did not have, and files of other
// layers. A layer is unpacked without the layers below it, and is complete only together with them.

import { getAttribute, isNotKept } from "../../kernel/file/attributes.ts";
import type { Fd } from "../../kernel/file/fd.ts";
import { ENOSPC } from "../../kernel/syscall/constants.ts";
import { check } from "../../kernel/syscall/sys.ts";
import { trySetAttribute } from "../untar/calls.ts";

/** The prefixes of attributes: overlayfs reads one or the other, depending on who mounts it. */
const PREFIXES = ["trusted.overlay.", "user.overlay."] as const;

export type Mark =
  /** A directory that hides the one below. */
  | "opaque"
  /** A directory without a member in the archive: it keeps the properties of the one below. */
  | "implied"
  /** A placeholder of a hard link to a file of a layer below. */
  | "hardlink"
  /** The number of such a placeholder in the order of the archive. */
  | "order"
  /** Set on the top of a layer that has one of the two marks above, or a whiteout. */
  | "incomplete"
  /** Set on the top of a layer: the digest of its archive, which was compared when it was unpacked. */
  | "content";

export const YES = Buffer.from("y");

/** Attributes by which a layer could redirect overlayfs to other files. */
export function isOverlayAttribute(name: string): boolean {
  return PREFIXES.some((prefix) => name.startsWith(prefix));
}

export function namesOfMark(mark: Mark): string[] {
  return PREFIXES.map((prefix) => prefix + mark);
}

/**
 * Sets a mark, under the name `trusted.overlay.*` where that is possible. The name `user.overlay.*` is the second
 * choice, because an overlayfs that uses the first one shows it. Returns false where the file system, or this user, can
 * have neither; throws for other errors, such as ENOSPC: without its marks a layer would be another one.
 */
export function setMark(file: Fd, mark: Mark, value: Buffer): boolean {
  return namesOfMark(mark).some((name) => {
    const result = trySetAttribute(file, name, value);
    if (result === ENOSPC || !isNotKept(result, file)) check(result, "setxattr", name);
    return result >= 0;
  });
}

/** Returns a mark among the attributes of an archive's member. */
export function markIn(attributes: ReadonlyMap<string, Buffer> | null, mark: Mark): Buffer | null {
  if (attributes === null) return null;
  for (const name of namesOfMark(mark)) {
    const value = attributes.get(name);
    if (value !== undefined) return value;
  }
  return null;
}

/** Returns the mark of a file. */
export function markOf(file: Fd, mark: Mark): Buffer | null {
  for (const name of namesOfMark(mark)) {
    const value = getAttribute(file, name);
    if (value !== null) return value;
  }
  return null;
}
