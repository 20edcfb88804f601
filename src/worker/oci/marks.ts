// Notes that a layer carries on disk, in attributes that overlayfs keeps to itself: what the archive did not say, and what
// is elsewhere. A layer is unpacked without the layers below it, and only together with them does it become complete.

import { getAttribute } from "../../kernel/file/attributes.ts";
import type { Fd } from "../../kernel/file/fd.ts";
import { trySetAttribute } from "../tar/untar-calls.ts";

/** Overlayfs reads one or the other, depending on who mounts it. */
const PREFIXES = ["trusted.overlay.", "user.overlay."] as const;

export type Mark =
  /** A directory that shows nothing of the one below. */
  | "opaque"
  /** A directory that no member stands for: whatever the one below has stays. */
  | "implied"
  /** A hard link, in its place, to a file of a layer below. */
  | "hardlink"
  /** At the top of a layer that has one of the two above. */
  | "incomplete"
  /** At the top of a layer the digest of its archive, which was compared when it was unpacked. */
  | "content";

export const YES = Buffer.from("y");

/** Attributes with which a layer could tell overlayfs to look elsewhere. */
export function isOverlayAttribute(name: string): boolean {
  return PREFIXES.some((prefix) => name.startsWith(prefix));
}

export function namesOfMark(mark: Mark): string[] {
  return PREFIXES.map((prefix) => prefix + mark);
}

/** Leaves a note, the kind for users only where the other cannot be kept: overlayfs shows it. False where neither can. */
export function setMark(file: Fd, mark: Mark, value: Buffer): boolean {
  return namesOfMark(mark).some((name) => trySetAttribute(file, name, value) >= 0);
}

/** A note among the attributes of an archive's member. */
export function markIn(attributes: ReadonlyMap<string, Buffer> | null, mark: Mark): Buffer | null {
  if (attributes === null) return null;
  for (const name of namesOfMark(mark)) {
    const value = attributes.get(name);
    if (value !== undefined) return value;
  }
  return null;
}

/** The note that a file carries. */
export function markOf(file: Fd, mark: Mark): Buffer | null {
  for (const name of namesOfMark(mark)) {
    const value = getAttribute(file, name);
    if (value !== null) return value;
  }
  return null;
}
