// Records of changes that take several steps: an image and its companions cannot change together. The record is made
// before the first step and removed after the last. Where the process is killed in between, the next sweep finds the
// record unlocked and makes the remaining steps, so that no settings stay that a later image of the name would get.

import { writeSome } from "../../kernel/file/byte-io.ts";
import { type Fd, openPath, statAt, statPath } from "../../kernel/file/fd.ts";
import { unlessErrno } from "../../kernel/syscall/sys.ts";
import { renameNew } from "../../kernel/tree/link.ts";
import { removeTree } from "../../kernel/tree/remove.ts";
import { type RawName, rawOf, textOf } from "../../kernel/tree/tree.ts";
import { identityOf } from "./entry.ts";
import type { ImageLayout } from "./layout.ts";
import { ImageSearch } from "./search.ts";
import { ignoreSyscallErrors, type Temporary, temporaryFile } from "./temporary.ts";

/** The end of the name of a record. */
export const RECORD_SUFFIX = ".rest";

/** A companion as it was when the record was made; a file that was changed or made since belongs to somebody else. */
export interface Companion {
  readonly directory: string;
  readonly name: string;
  readonly mark: string;
  /** The name that it gets where the image has moved; "" where it has none. */
  readonly newName: string;
}

interface Change {
  /** The name without whose image the companions are removed. */
  readonly image: string;
  /** Where the image is when it has its new name, and which file it is then; "" for other changes. */
  readonly newPath: string;
  readonly identity: string;
  readonly companions: readonly Companion[];
  /**
   * Whether the image replaces another one of the name, and the companions, under hidden names, are to replace those of
   * that one: they get their names where the image has its own.
   */
  readonly isReplacement?: boolean;
}

/** Returns which file an entry is, with the time of its last change. */
export function markOf(directory: Fd, name: string): string {
  const status = statAt(directory, name, "no-follow");
  return `${identityOf(status)}:${status.mtimeNs}`;
}

/** The record of a change of this process. Disposing of it makes the steps that remain, and removes the record. */
export class UnfinishedChange implements Disposable {
  readonly #layout: ImageLayout;
  readonly #change: Change;
  readonly #file: Temporary | null;
  #isOver: boolean;

  private constructor(layout: ImageLayout, change: Change, file: Temporary | null) {
    this.#layout = layout;
    this.#change = change;
    this.#file = file;
    this.#isOver = change.companions.length === 0;
  }

  /** Writes the record into a directory of images. On a full disk there is none: an image can be removed from that. */
  static begin(layout: ImageLayout, directory: Fd, change: Change): UnfinishedChange {
    if (change.companions.length === 0) return new UnfinishedChange(layout, change, null);
    const file = unlessErrno(() => written(directory, change), null, "ENOSPC", "EDQUOT");
    return new UnfinishedChange(layout, change, file);
  }

  [Symbol.dispose](): void {
    if (this.#isOver) return;
    this.#isOver = true;
    using _file = this.#file;
    ignoreSyscallErrors(() => makeRest(this.#layout, this.#change));
  }
}

function written(directory: Fd, change: Change): Temporary {
  const file = temporaryFile(directory, 0o600, RECORD_SUFFIX);
  try {
    let left: Buffer = Buffer.from(JSON.stringify(change));
    while (left.length > 0) left = left.subarray(writeSome(file.fd, left));
    return file;
  } catch (error) {
    file[Symbol.dispose]();
    throw error;
  }
}

/**
 * Makes the steps that remain of a change. While an image has the name, the companions are its own: the change had not
 * begun, or another image was made.
 */
export function makeRest(layout: ImageLayout, change: Change): void {
  const hasMoved = change.newPath !== "" && isFile(change.newPath, change.identity);
  const isReplacement = change.isReplacement === true;
  if (!isReplacement && hasName(layout, change.image)) return;
  for (const companion of change.companions) {
    ignoreSyscallErrors(() => {
      using directory = openPath(companion.directory, "directory");
      if (markOf(directory, companion.name) !== companion.mark) return;
      const name = rawOf(companion.name);
      if (!hasMoved) removeTree(directory, name);
      else if (isReplacement) replaceRegular(directory, name, rawOf(companion.newName));
      else if (companion.newName !== "") renameNew({ directory, name }, { directory, name: rawOf(companion.newName) });
    });
  }
}

function replaceRegular(directory: Fd, name: RawName, newName: RawName): void {
  const kind = unlessErrno(() => statAt(directory, textOf(newName), "no-follow").kind, null, "ENOENT");
  if (kind === "regular") removeTree(directory, newName);
  renameNew({ directory, name }, { directory, name: newName });
}

function isFile(path: string, identity: string): boolean {
  return unlessErrno(() => identityOf(statPath(path)) === identity, false, "ENOENT", "ENOTDIR", "ELOOP");
}

/** Whether there is an image of that name, or a file that may be one and that cannot be read now. */
function hasName(layout: ImageLayout, name: string): boolean {
  if (new ImageSearch(layout.searchPath, layout).find(name) !== null) return true;
  const paths = layout.searchPath.flatMap((path) =>
    ["", ".raw", ".mstack"].map((suffix) => `${path}/${name}${suffix}`),
  );
  return paths.some((path) =>
    unlessErrno(() => statPath(path, "no-follow") !== null, false, "ENOENT", "ENOTDIR", "ENAMETOOLONG"),
  );
}

/** Returns the change of a record; null where its process was killed before it was written, before the first step. */
export function changeOf(text: string): Change | null {
  try {
    const value = JSON.parse(text) as Change;
    const areTexts = (texts: readonly unknown[]) => texts.every((part) => typeof part === "string");
    const isWhole = (row: Companion) => areTexts([row.directory, row.name, row.mark, row.newName]);
    return areTexts([value.image, value.newPath, value.identity]) && value.companions.every(isWhole) ? value : null;
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof TypeError) return null;
    throw error;
  }
}
