// The companions of an image: its `.nspawn` settings, root hashes and verity data of disk images, state of virtual
// machines. They share the image's name, and are renamed, copied and removed with it. Failures about them are ignored.

import { type Fd, openPath } from "../../kernel/file/fd.ts";
import { copyTree } from "../../kernel/tree/copy.ts";
import { copyRegular } from "../../kernel/tree/copy-file.ts";
import { createDirectory, renameNew } from "../../kernel/tree/link.ts";
import { RawStatus } from "../../kernel/tree/raw-status.ts";
import { removeTree } from "../../kernel/tree/remove.ts";
import { openDirectory, openEntry, type RawName, rawOf } from "../../kernel/tree/tree.ts";
import type { Image } from "./image.ts";
import type { ImageLayout } from "./layout.ts";
import { ignoreSyscallErrors, temporaryFolder } from "./temporary.ts";

const SETTINGS = ".nspawn";

/** The suffixes of companions beside an image. */
const BESIDE = [
  SETTINGS,
  ".oci-config",
  ".roothash",
  ".roothash.p7s",
  ".usrhash",
  ".usrhash.p7s",
  ".verity",
  ".raw.tpmstate",
  ".raw.efinvramstate",
] as const;

interface Companion {
  readonly directory: string;
  readonly suffix: string;
  /** Whether it is beside the image, and not among the settings of the host. */
  readonly isBeside: boolean;
}

function companionsOf(layout: ImageLayout, image: Image): Companion[] {
  const { place } = image.facts;
  if (place === null) return [];
  const settings = layout.settings.map((directory) => ({ directory, suffix: SETTINGS, isBeside: false }));
  return [...settings, ...BESIDE.map((suffix) => ({ directory: place.directory, suffix, isBeside: true }))];
}

function forEach(layout: ImageLayout, image: Image, act: (directory: Fd, companion: Companion) => void): void {
  for (const companion of companionsOf(layout, image)) {
    ignoreSyscallErrors(() => {
      using directory = openPath(companion.directory, "directory");
      act(directory, companion);
    });
  }
}

/** Renames them with the image. Existing files of the new name are kept. */
export function renameCompanions(layout: ImageLayout, image: Image, newName: string): void {
  forEach(layout, image, (directory, { suffix }) => {
    const name = (text: string) => ({ directory, name: rawOf(text + suffix) });
    renameNew(name(image.name), name(newName));
  });
}

/** Removes them with the image. */
export function removeCompanions(layout: ImageLayout, image: Image): void {
  forEach(layout, image, (directory, { suffix }) => removeTree(directory, rawOf(image.name + suffix)));
}

/**
 * Copies them for a clone: companions beside the image are copied beside the clone; settings of the host are copied
 * within their directory, so that they are trusted as before. Existing files of the new name are kept.
 */
export function copyCompanions(layout: ImageLayout, image: Image, clone: { pool: Fd; name: string }): void {
  forEach(layout, image, (directory, { suffix, isBeside }) => {
    const target = isBeside ? clone.pool : directory;
    copyEntry(directory, rawOf(image.name + suffix), target, rawOf(clone.name + suffix));
  });
}

/** Copies a file or a directory; the copy gets its name when it is complete. */
function copyEntry(from: Fd, name: RawName, to: Fd, newName: RawName): void {
  const status = new RawStatus();
  using entry = openEntry(from, name);
  const { kind } = status.readFd(entry);
  if (kind !== "regular" && kind !== "directory") return;
  using folder = temporaryFolder(to);
  const copy = { directory: folder.fd, name: "copy" };
  if (kind === "regular") copyRegular(entry, status, copy, { sharing: { mayShare: true }, onBytes: () => {} });
  else {
    createDirectory(copy, 0o700);
    using source = openDirectory(from, name);
    using target = openDirectory(copy.directory, copy.name);
    copyTree(source, target);
  }
  renameNew(copy, { directory: to, name: newName });
}
