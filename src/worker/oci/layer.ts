// The layers of container images. In an archive a file `.wh.NAME` means that NAME of the layers below is removed; on
// disk this is a device 0:0, and a directory that hides the content below it has a mark, as overlayfs expects. Entries
// that a layer takes from the layers below are marked as well: see marks.ts.
import { ErrnoError } from "../../base/error.ts";
import type { Fd } from "../../kernel/file/fd.ts";
import { RawStatus } from "../../kernel/tree/raw-status.ts";
import { openDirectory, type RawEntry, type RawName, readSomeEntries, textOf } from "../../kernel/tree/tree.ts";
import { Held } from "../program/budget.ts";
import { damaged } from "../stream/feed.ts";
import type { TarEntry, TarSink, TarTarget } from "../tar/entry.ts";
import { componentsOf } from "../untar/place.ts";
import type { Untar, UntarOptions } from "../untar/untar.ts";
import { isOverlayAttribute, type Mark, markOf, namesOfMark, setMark, YES } from "./marks.ts";

const status = new RawStatus();

const WHITEOUT = ".wh.";
const OPAQUE = ".wh..wh..opq";
/** Names that begin with this are metadata of AUFS, whose layers have them in old images. */
const BOOKKEEPING = ".wh..wh.";
/** The directory at the top in which AUFS has files with several names. */
const LINKED = ".wh..wh.plnk";

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
  readonly #targets = new DisposableStack();
  #links = 0;

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
        setMark(file, "order", Buffer.from(String(this.#links++)));
        return this.#leave(file, "hardlink", Buffer.from(target, "latin1"));
      },
    };
  }

  /** Returns the receiver of the layer's entries. */
  readonly target = (untar: Untar): TarTarget => {
    return this.#targets.use(new LayerTarget(untar, this.#linked, () => void setMark(this.#top, "incomplete", YES)));
  };

  /** Sets a mark for what the layer takes from those below. Returns false where it cannot be set. */
  #leave(file: Fd, mark: Mark, value: Buffer): boolean {
    return setMark(file, mark, value) && setMark(this.#top, "incomplete", YES);
  }

  [Symbol.dispose](): void {
    this.#targets.dispose();
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
class LayerTarget implements TarTarget, Disposable {
  readonly #untar: Untar;
  readonly #linked: LinkedPaths;
  readonly #noteWhiteout: () => void;
  readonly #held = new Held();
  /** The names that this layer removes; entries of the layer itself take precedence. */
  readonly #gone = new Set<string>();
  #hasLinked = false;

  constructor(untar: Untar, linked: LinkedPaths, noteWhiteout: () => void) {
    this.#untar = untar;
    this.#linked = linked;
    this.#noteWhiteout = noteWhiteout;
  }

  entry(entry: TarEntry): TarSink | null {
    const components = componentsOf(entry.path);
    const name = components.at(-1);
    const inner = name === OPAQUE ? components.slice(0, -1) : components;
    if (inner.some((part) => part.startsWith(BOOKKEEPING))) return this.#bookkeeping(components, entry);
    if (name?.startsWith(WHITEOUT)) {
      this.#whiteout(components.slice(0, -1), name, entry);
      return null;
    }
    this.#linked.requireUnused(components, entry.kind === "directory");
    this.#reveal(components, entry.kind === "directory");
    return this.#untar.entry(entry);
  }

  /** Takes the files to which the layer has hard links, until its end, and no other metadata of AUFS. */
  #bookkeeping(components: readonly RawName[], entry: TarEntry): TarSink | null {
    const isLinked = components.length === 2 && components[0] === LINKED;
    if (!isLinked || entry.kind === "directory" || entry.kind === "hard-link") return null;
    this.#hasLinked = true;
    return this.#untar.entry(entry);
  }

  end(): void {
    if (this.#hasLinked) this.#untar.tree.discard([LINKED]);
  }

  #whiteout(parent: RawName[], name: RawName, entry: TarEntry): void {
    // What it hides is removed with the directory.
    if (this.#isGone(parent)) return;
    if (name === OPAQUE) {
      this.#linked.requireUnused(parent);
      this.#hideBelow(parent);
      return;
    }
    const hidden = name.slice(WHITEOUT.length);
    if (hidden === "" || hidden === "." || hidden === "..") throw damaged("a whiteout of no file");
    const components = [...parent, hidden];
    this.#linked.requireUnused(components);
    const path = textOfPath(components);
    const present = this.#untar.tree.look(components);
    const isHollow = present === "directory" && this.#isHollow(components);
    if (isHollow) this.#untar.tree.discard(components);
    else if (present === "directory") this.#replaceBelow(components);
    if (!isHollow && present !== "nothing") return;
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

  #isGone(components: readonly RawName[]): boolean {
    return this.#gone.size > 0 && components.some((_, at) => this.#gone.has(textOfPath(components.slice(0, at + 1))));
  }

  /** Whether a directory is there for whiteouts alone, and the layer has nothing in it. */
  #isHollow(components: readonly RawName[]): boolean {
    using directory = this.#untar.tree.reopen(components);
    return directory !== null && hasOnlyWhiteouts(directory);
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

function hasOnlyWhiteouts(directory: Fd): boolean {
  if (markOf(directory, "implied") === null) return false;
  using listing = openDirectory(directory, ".");
  for (let some = readSomeEntries(listing); some.length > 0; some = readSomeEntries(listing)) {
    if (!some.every((entry) => isOrHasOnlyWhiteouts(directory, entry))) return false;
  }
  return true;
}

function isOrHasOnlyWhiteouts(parent: Fd, { name }: RawEntry): boolean {
  const { kind, deviceNumber } = status.readEntry(parent, name);
  if (kind === "character") return deviceNumber === 0;
  if (kind !== "directory") return false;
  using directory = openDirectory(parent, name);
  return hasOnlyWhiteouts(directory);
}
