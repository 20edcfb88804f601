// The tree that an archive has been unpacked to so far: looking up and removing entries.
import { errnoNameOf } from "../../base/error.ts";
import { Fd } from "../../kernel/file/fd.ts";
import type { FileKind } from "../../kernel/file/status.ts";
import { isErrno } from "../../kernel/syscall/sys.ts";
import { emptyDirectory, removeTree } from "../../kernel/tree/remove.ts";
import { type RawName, RawStatus } from "../../kernel/tree/tree.ts";
import { tryOpenDirectory } from "./untar-calls.ts";
import { Place, type PlaceOptions } from "./untar-place.ts";

/** An entry of the tree. */
type Found = FileKind | "whiteout" | "nothing";

const UNREACHABLE = ["ENOENT", "ENOTDIR", "ELOOP"];

export class TreeSoFar implements Disposable {
  readonly #top: Fd;
  readonly #place: Place;
  readonly #status = new RawStatus();

  /** `top` stays the caller's. */
  constructor(top: Fd, links: PlaceOptions["links"] = "refuse") {
    this.#top = top;
    this.#place = new Place(top, { links });
  }

  /** The directory of these components, which must be there. It stays this object's. */
  reach(components: readonly RawName[]): Fd {
    return this.#place.reach(components, "refuse");
  }

  /** The same; null where there is none. */
  tryReach(components: readonly RawName[]): Fd | null {
    try {
      return this.reach(components);
    } catch (error) {
      if (UNREACHABLE.includes(errnoNameOf(error) ?? "")) return null;
      throw error;
    }
  }

  /** The directory of these components; null when a later member has taken its place. */
  reopen(components: readonly RawName[]): Fd | null {
    const name = components.at(-1);
    if (name === undefined) return this.#top.duplicate();
    const parent = this.tryReach(components.slice(0, -1));
    const result = parent === null ? -1 : tryOpenDirectory(parent, name);
    return result < 0 ? null : Fd.adopt(result);
  }

  /** Whether these components lead to a directory now, over links of the tree where those lead on. */
  leadsOn(components: readonly RawName[]): boolean {
    this.forget();
    return this.tryReach(components) !== null;
  }

  /** Returns the present entry of this name. */
  look(components: readonly RawName[]): Found {
    this.forget();
    const name = components.at(-1);
    const parent = name === undefined ? null : this.tryReach(components.slice(0, -1));
    return parent === null ? "nothing" : this.lookIn(parent, name ?? ".");
  }

  lookIn(parent: Fd, name: RawName): Found {
    try {
      const { kind, deviceNumber } = this.#status.readEntry(parent, name);
      return kind === "character" && deviceNumber === 0 ? "whiteout" : kind;
    } catch (error) {
      if (isErrno(error, "ENOENT")) return "nothing";
      throw error;
    }
  }

  /** Removes the entry of this name, if there is one. */
  discard(components: readonly RawName[]): void {
    this.forget();
    const name = components.at(-1);
    const parent = name === undefined ? null : this.tryReach(components.slice(0, -1));
    if (parent !== null && name !== undefined) removeTree(parent, name);
  }

  /** Removes the content of a directory, if there is one. */
  empty(components: readonly RawName[]): void {
    this.forget();
    const directory = this.tryReach(components);
    if (directory !== null) emptyDirectory(directory);
  }

  /** Forgets what it has open: a later member may replace what these directories are. */
  forget(): void {
    this.#place[Symbol.dispose]();
  }

  [Symbol.dispose](): void {
    this.forget();
  }
}
