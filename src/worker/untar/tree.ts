// Looks up and removes entries of the tree to which an archive is being unpacked.
import { errnoNameOf } from "../../base/error.ts";
import type { Fd } from "../../kernel/file/fd.ts";
import type { FileKind } from "../../kernel/file/status.ts";
import { EACCES, ELOOP, ENOENT, ENOTDIR } from "../../kernel/syscall/constants.ts";
import { unlessErrno } from "../../kernel/syscall/sys.ts";
import { openUp } from "../../kernel/tree/own-file.ts";
import { RawStatus } from "../../kernel/tree/raw-status.ts";
import { emptyDirectory, removeTree } from "../../kernel/tree/remove.ts";
import { openEntry, type RawName } from "../../kernel/tree/tree.ts";
import { adopt, tryOpenDirectory } from "./calls.ts";
import { Place, type PlaceOptions } from "./place.ts";

/** The kind of an entry; "whiteout": a device 0:0 of overlayfs. */
type Found = FileKind | "whiteout" | "nothing";

const UNREACHABLE = ["ENOENT", "ENOTDIR", "ELOOP"];

/**
 * Opens a directory, also where an earlier member of that name has taken the permission from us, its owner. Returns its
 * descriptor or a negative errno.
 */
function openOwnDirectory(parent: Fd, name: RawName): number {
  const result = tryOpenDirectory(parent, name);
  if (result !== EACCES) return result;
  using entry = openEntry(parent, name);
  return openUp(entry) === null ? result : tryOpenDirectory(parent, name);
}

/** The part of the tree that was unpacked already. */
export class TreeSoFar implements Disposable {
  readonly #top: Fd;
  readonly #place: Place;
  readonly #status = new RawStatus();

  /** The caller still owns `top`. */
  constructor(top: Fd, links: PlaceOptions["links"] = "refuse") {
    this.#top = top;
    this.#place = new Place(top, { links });
  }

  /** Returns an existing directory; throws ENOENT, ENOTDIR or ELOOP where there is none. This object still owns it. */
  reach(components: readonly RawName[]): Fd {
    return this.#place.reach(components, "refuse");
  }

  /** The path of the directory that was reached last, from the top and without links. */
  get real(): readonly RawName[] {
    return this.#place.real;
  }

  /** As `reach()`; returns null where there is none. */
  tryReach(components: readonly RawName[]): Fd | null {
    try {
      return this.reach(components);
    } catch (error) {
      if (UNREACHABLE.includes(errnoNameOf(error) ?? "")) return null;
      throw error;
    }
  }

  /** Opens a directory, which the caller owns; returns null where a later member has replaced it. */
  reopen(components: readonly RawName[]): Fd | null {
    const name = components.at(-1);
    if (name === undefined) return this.#top.duplicate();
    const parent = this.tryReach(components.slice(0, -1));
    if (parent === null) return null;
    const result = openOwnDirectory(parent, name);
    return result === ENOENT || result === ENOTDIR || result === ELOOP ? null : adopt(result, "open directory", name);
  }

  /** Returns whether a path leads to a directory now, through links where they are followed. */
  leadsOn(components: readonly RawName[]): boolean {
    this.forget();
    return this.tryReach(components) !== null;
  }

  /** Returns the kind of the present entry at a path. */
  look(components: readonly RawName[]): Found {
    this.forget();
    const name = components.at(-1);
    const parent = name === undefined ? null : this.tryReach(components.slice(0, -1));
    return parent === null ? "nothing" : this.lookIn(parent, name ?? ".");
  }

  /** Returns the kind of the present entry `name` of a directory. */
  lookIn(parent: Fd, name: RawName): Found {
    const status = unlessErrno(() => this.#status.readEntry(parent, name), null, "ENOENT");
    if (status === null) return "nothing";
    return status.kind === "character" && status.deviceNumber === 0 ? "whiteout" : status.kind;
  }

  /** Removes the entry at a path with its content, if there is one. */
  discard(components: readonly RawName[]): void {
    this.forget();
    const name = components.at(-1);
    const parent = name === undefined ? null : this.tryReach(components.slice(0, -1));
    if (parent !== null && name !== undefined) removeTree(parent, name);
  }

  /** Removes the content of the directory at a path, if there is one. */
  empty(components: readonly RawName[]): void {
    this.forget();
    const directory = this.tryReach(components);
    if (directory !== null) emptyDirectory(directory);
  }

  /** Closes the open directories: a later member may replace them. */
  forget(): void {
    this.#place[Symbol.dispose]();
  }

  [Symbol.dispose](): void {
    this.forget();
  }
}
