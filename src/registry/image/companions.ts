// The companions of an image: its `.nspawn` settings, root hashes and verity data of disk images, state of virtual
// machines. They share the image's name, and are renamed, copied and removed with it. Failures about them are ignored.

import { pathOf } from "../../kernel/file/attributes.ts";
import { type Fd, openPath } from "../../kernel/file/fd.ts";
import { copyTree } from "../../kernel/tree/copy.ts";
import { copyRegular } from "../../kernel/tree/copy-file.ts";
import { createDirectory, renameNew } from "../../kernel/tree/link.ts";
import { RawStatus } from "../../kernel/tree/raw-status.ts";
import { removeTree } from "../../kernel/tree/remove.ts";
import { openDirectory, openEntry, type RawName, rawOf } from "../../kernel/tree/tree.ts";
import type { Image } from "./image.ts";
import type { ImageLayout } from "./layout.ts";
import { ignoreSyscallErrors, type Temporary, temporaryFolder } from "./temporary.ts";
import { type Companion, markOf, UnfinishedChange } from "./unfinished.ts";

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

interface CompanionPlace {
  readonly directory: string;
  readonly suffix: string;
  /** Whether it is beside the image, and not among the settings of the host. */
  readonly isBeside: boolean;
}

function companionsOf(layout: ImageLayout, image: Image): CompanionPlace[] {
  const { place } = image.facts;
  if (place === null) return [];
  const settings = layout.settings.map((directory) => ({ directory, suffix: SETTINGS, isBeside: false }));
  return [...settings, ...BESIDE.map((suffix) => ({ directory: place.directory, suffix, isBeside: true }))];
}

function forEach(layout: ImageLayout, image: Image, act: (directory: Fd, companion: CompanionPlace) => void): void {
  for (const companion of companionsOf(layout, image)) {
    ignoreSyscallErrors(() => {
      using directory = openPath(companion.directory, "directory");
      act(directory, companion);
    });
  }
}

/**
 * Records that an image is about to be removed, or renamed to `newName` and `newPath`, and that its companions follow.
 */
export function beginChange(
  layout: ImageLayout,
  image: Image,
  directory: Fd,
  { newName, newPath } = { newName: "", newPath: "" },
): UnfinishedChange {
  const companions: Companion[] = [];
  forEach(layout, image, (place, { directory: path, suffix }) => {
    const name = image.name + suffix;
    const mark = markOf(place, name);
    companions.push({ directory: path, name, mark, newName: newName === "" ? "" : newName + suffix });
  });
  const { identity } = image.facts;
  return UnfinishedChange.begin(layout, directory, { image: image.name, newPath, identity, companions });
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

/** A copy of a companion that has not got its name. */
interface CompanionCopy {
  readonly folder: Temporary;
  readonly directory: Fd;
  readonly path: string;
  readonly name: string;
}

/** The name of a copy in its folder. */
const COPY = "copy";

/**
 * Copies of an image's companions for a clone: companions beside the image are copied beside the clone; settings of the
 * host are copied within their directory, so that they are trusted as before.
 */
export class CompanionCopies implements Disposable {
  readonly #layout: ImageLayout;
  readonly #clone: { readonly pool: Fd; readonly name: string };
  readonly #copies: CompanionCopy[] = [];

  private constructor(layout: ImageLayout, clone: { readonly pool: Fd; readonly name: string }) {
    this.#layout = layout;
    this.#clone = clone;
  }

  /** Makes the copies under hidden names. */
  static of(layout: ImageLayout, image: Image, clone: { readonly pool: Fd; readonly name: string }): CompanionCopies {
    const copies = new CompanionCopies(layout, clone);
    forEach(layout, image, (from, { directory, suffix, isBeside }) => {
      const path = isBeside ? pathOf(clone.pool) : directory;
      copies.#add(from, rawOf(image.name + suffix), path, clone.name + suffix);
    });
    return copies;
  }

  #add(from: Fd, name: RawName, path: string, newName: string): void {
    const directory = openPath(path, "directory");
    let folder: Temporary | null = null;
    try {
      folder = copyOf(from, name, directory);
    } finally {
      if (folder === null) directory.close();
    }
    if (folder !== null) this.#copies.push({ folder, directory, path, name: newName });
  }

  /**
   * Gives the copies their names. Existing files of these names are kept. Returns the record of the change, to be
   * disposed of when the clone has its name: the copies are removed where it did not get it.
   */
  put(): UnfinishedChange {
    const companions = this.#copies.map(({ folder, path, name }) => {
      return { directory: path, name, mark: markOf(folder.fd, COPY), newName: "" };
    });
    const { pool, name: image } = this.#clone;
    const change = UnfinishedChange.begin(this.#layout, pool, { image, newPath: "", identity: "", companions });
    for (const { folder, directory, name } of this.#copies) {
      ignoreSyscallErrors(() => renameNew({ directory: folder.fd, name: COPY }, { directory, name: rawOf(name) }));
    }
    return change;
  }

  [Symbol.dispose](): void {
    for (const { folder, directory } of this.#copies) {
      folder[Symbol.dispose]();
      directory.close();
    }
  }
}

/** Copies a file or a directory into a new folder of `to`; returns null where it is neither. */
function copyOf(from: Fd, name: RawName, to: Fd): Temporary | null {
  const status = new RawStatus();
  using entry = openEntry(from, name);
  const { kind } = status.readFd(entry);
  if (kind !== "regular" && kind !== "directory") return null;
  const folder = temporaryFolder(to);
  try {
    const copy = { directory: folder.fd, name: COPY };
    if (kind === "regular") copyRegular(entry, status, copy, { sharing: { mayShare: true }, onBytes: () => {} });
    else {
      createDirectory(copy, 0o700);
      using source = openDirectory(from, name);
      using target = openDirectory(copy.directory, copy.name);
      copyTree(source, target);
    }
    return folder;
  } catch (error) {
    folder[Symbol.dispose]();
    throw error;
  }
}
