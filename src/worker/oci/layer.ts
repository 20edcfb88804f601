// The layers of container images. In an archive a file `.wh.NAME` means that NAME of the layers below is removed; on
// disk this is a device 0:0, and a directory that hides the content below it has a mark, as overlayfs expects. Entries
// that a layer takes from the layers below are marked as well: see marks.ts.
import { ErrnoError } from "../../base/error.ts";
import type { Turns } from "../../base/turns.ts";
import type { Fd } from "../../kernel/file/fd.ts";
import { RawStatus } from "../../kernel/tree/raw-status.ts";
import { openDirectory, type RawEntry, type RawName, readSomeEntries, textOf } from "../../kernel/tree/tree.ts";
import { Held } from "../program/budget.ts";
import { damaged } from "../stream/feed.ts";
import type { TarEntry, TarSink, TarTarget } from "../tar/entry.ts";
import { componentsOf, requireDepth } from "../untar/place.ts";
import type { Untar, UntarOptions } from "../untar/untar.ts";
import { isOverlayAttribute, type Mark, markIn, markOf, namesOfMark, setMark, YES } from "./marks.ts";

const WHITEOUT = ".wh.";
const OPAQUE = ".wh..wh..opq";
const BOOKKEEPING = ".wh..wh.";

function textOfPath(components: readonly RawName[]): string {
  return components.join("/");
}

const IMPLIED: readonly string[] = namesOfMark("implied");

/**
 * The rules for unpacking one layer into the directory `top`, without the layers below it. The caller owns `top` and
 * disposes of the rules.
 */
export class LayerRules implements Disposable {
  readonly #top: Fd;
  readonly #linked = new LinkedPaths();

  constructor(top: Fd) {
    this.#top = top;
  }

  get options(): UntarOptions {
    return {
      links: "existing",
      dropAttribute: isOverlayAttribute,
      keepAttribute: (name) => isOverlayAttribute(name) && !IMPLIED.includes(name),
      onImplied: (directory) => void this.#leave(directory, "implied", YES),
      replaceLink: (file, target) => {
        this.#linked.add(componentsOf(target));
        return this.#leave(file, "hardlink", Buffer.from(target, "latin1"));
      },
    };
  }

  /** Returns the receiver of the layer's entries. */
  readonly target = (untar: Untar): TarTarget => {
    return new LayerTarget(untar, this.#linked, () => void setMark(this.#top, "incomplete", YES));
  };

  /** Sets a mark for what the layer takes from those below. Returns false where it cannot be set. */
  #leave(file: Fd, mark: Mark, value: Buffer): boolean {
    return setMark(file, mark, value) && setMark(this.#top, "incomplete", YES);
  }

  [Symbol.dispose](): void {
    this.#linked[Symbol.dispose]();
  }
}

/**
 * The paths of files of the layers below to which a layer has hard links. Such a link is made when the layers are
 * merged, by the order of names on the disk, and not by the order of the archive: so the layer must not replace or
 * remove the file after the link.
 */
class LinkedPaths implements Disposable {
  readonly #held = new Held();
  readonly #files = new Set<string>();
  readonly #directories = new Set<string>();

  add(components: readonly RawName[]): void {
    this.#note(this.#files, components);
    for (let depth = components.length - 1; depth > 0; depth--) {
      if (!this.#note(this.#directories, components.slice(0, depth))) return;
    }
  }

  #note(paths: Set<string>, components: readonly RawName[]): boolean {
    const path = textOfPath(components);
    if (paths.has(path)) return false;
    this.#held.add(path.length + 64, "hard links");
    paths.add(path);
    return true;
  }

  /** Throws EOPNOTSUPP where a path is that of a linked file, or, unless `isDirectory`, of a directory above one. */
  requireUnused(components: readonly RawName[], isDirectory = false): void {
    if (this.#files.size === 0) return;
    const text = textOfPath(components);
    if (!this.#files.has(text) && (isDirectory || !this.#directories.has(text))) return;
    const path = textOf(text);
    const advice = "flatten the image, or build it with a current program";
    throw new ErrnoError("EOPNOTSUPP", `Layer links to '${path}' of a layer below and replaces it: ${advice}`);
  }

  [Symbol.dispose](): void {
    this.#held[Symbol.dispose]();
  }
}

/** Unpacks a layer into a directory of its own. */
class LayerTarget implements TarTarget {
  readonly #untar: Untar;
  readonly #linked: LinkedPaths;
  readonly #noteWhiteout: () => void;
  readonly #held = new Held();
  /** The names that this layer removes; entries of the layer itself take precedence. */
  readonly #gone = new Set<string>();

  constructor(untar: Untar, linked: LinkedPaths, noteWhiteout: () => void) {
    this.#untar = untar;
    this.#linked = linked;
    this.#noteWhiteout = noteWhiteout;
  }

  entry(entry: TarEntry): TarSink | null {
    const components = componentsOf(entry.path);
    const name = components.at(-1);
    if (name?.startsWith(WHITEOUT)) {
      this.#whiteout(components.slice(0, -1), name, entry);
      return null;
    }
    this.#linked.requireUnused(components, entry.kind === "directory");
    this.#reveal(components, entry.kind === "directory");
    return this.#untar.entry(entry);
  }

  #whiteout(parent: RawName[], name: RawName, entry: TarEntry): void {
    if (name === OPAQUE) {
      this.#linked.requireUnused(parent);
      this.#hideBelow(parent);
      return;
    }
    if (name.startsWith(BOOKKEEPING)) return;
    const hidden = name.slice(WHITEOUT.length);
    if (hidden === "" || hidden === "." || hidden === "..") throw damaged("a whiteout of no file");
    const components = [...parent, hidden];
    this.#linked.requireUnused(components);
    const path = textOfPath(components);
    const present = this.#untar.tree.look(components);
    if (present === "directory") this.#replaceBelow(components);
    if (present !== "nothing") return;
    this.#reveal(parent, true);
    this.#held.add(path.length + 64, "whiteouts");
    this.#gone.add(path);
    this.#noteWhiteout();
    this.#untar.entry({
      ...entry,
      path,
      kind: "character",
      mode: 0,
      uid: 0,
      gid: 0,
      major: 0,
      minor: 0,
      attributes: null,
      acl: { access: null, fallback: null },
      sparse: null,
    });
  }

  #hideBelow(components: readonly RawName[]): void {
    for (const mark of namesOfMark("opaque")) this.#untar.mark(components, mark, YES);
  }

  /**
   * Makes a directory a new one in place of what the layers below have, which this layer removes: it keeps neither the
   * properties of that nor, where that is a link, its target.
   */
  #replaceBelow(components: readonly RawName[]): void {
    this.#hideBelow(components);
    for (const mark of IMPLIED) this.#untar.unmark(components, mark);
  }

  /** Adds an entry whose name was removed: a directory of that name hides the one below. */
  #reveal(components: readonly RawName[], isDirectory: boolean): void {
    if (this.#gone.size === 0) return;
    for (let depth = 1; depth <= components.length; depth++) {
      const part = components.slice(0, depth);
      if (!this.#gone.delete(textOfPath(part))) continue;
      this.#untar.tree.discard(part);
      if (depth < components.length || isDirectory) this.#replaceBelow(part);
    }
  }

  [Symbol.dispose](): void {
    this.#held[Symbol.dispose]();
  }
}

/** The rules for merging layers: entries that a layer takes from those below are resolved inside the tree. */
export const MERGE_OPTIONS: UntarOptions = { links: "make", dropAttribute: isOverlayAttribute };

/** Merges a layer on disk into the tree of the layers below it. */
export class MergeTarget implements TarTarget {
  readonly #untar: Untar;
  readonly #status = new RawStatus();
  /** Whether what the present layer hides was removed at its beginning. */
  #hasRemoved = false;

  constructor(untar: Untar) {
    this.#untar = untar;
  }

  /**
   * Begins a layer. Removes what it hides of those below first, where it has directories that they may have as links:
   * by the order of names, it could remove files that it has itself written through a link.
   */
  async begin(layer: Fd, turns: Turns): Promise<void> {
    this.#hasRemoved = markOf(layer, "incomplete") !== null;
    if (this.#hasRemoved) await this.#removeBelow(layer, [], turns);
  }

  async #removeBelow(directory: Fd, path: readonly RawName[], turns: Turns): Promise<void> {
    requireDepth(path.length);
    using listing = openDirectory(directory, ".");
    for (let some = readSomeEntries(listing); some.length > 0; some = readSomeEntries(listing)) {
      for (const entry of some) await this.#removeFor(directory, entry, [...path, entry.name], turns);
      await turns.pass();
    }
  }

  /** Removes what one entry of the layer hides, with those in it. */
  async #removeFor(parent: Fd, { name, kind: known }: RawEntry, path: readonly RawName[], turns: Turns): Promise<void> {
    const { tree } = this.#untar;
    const kind = known ?? this.#status.readEntry(parent, name).kind;
    if (kind === "character" && this.#status.readEntry(parent, name).deviceNumber === 0) tree.discard(path);
    if (kind !== "directory") return;
    using directory = openDirectory(parent, name);
    const isImplied = markOf(directory, "implied") !== null;
    if (markOf(directory, "opaque") !== null) this.#hide(path, isImplied);
    // A directory in place of a link is not merged with its target.
    else if (isImplied || tree.look(path) === "directory") await this.#removeBelow(directory, path, turns);
  }

  /** Removes what the layers below have in place of an opaque directory. */
  #hide(components: readonly RawName[], isImplied: boolean): void {
    if (isImplied) this.#untar.tree.empty(components);
    else this.#untar.tree.discard(components);
  }

  entry(entry: TarEntry): TarSink | null {
    const { kind, major, minor, attributes } = entry;
    const components = componentsOf(entry.path);
    if (kind === "character" && major === 0 && minor === 0) {
      if (!this.#hasRemoved) this.#untar.tree.discard(components);
      return null;
    }
    if (kind === "directory") return this.#directory(components, entry);
    const target = markIn(attributes, "hardlink");
    if (target === null) return this.#untar.entry(entry);
    return this.#untar.entry({ ...entry, kind: "hard-link", target: target.toString("latin1") });
  }

  #directory(components: readonly RawName[], entry: TarEntry): TarSink | null {
    const isImplied = markIn(entry.attributes, "implied") !== null;
    const isOpaque = markIn(entry.attributes, "opaque") !== null;
    if (isOpaque && components.length > 0 && !this.#hasRemoved) this.#hide(components, isImplied);
    // A link without a target is kept: later members make its target.
    if (isImplied && (this.#untar.tree.leadsOn(components) || this.#untar.tree.look(components) === "symlink"))
      return null;
    return this.#untar.entry(entry);
  }
}
