// The layers of container images. In an archive a file `.wh.NAME` means that NAME of the layers below is removed; on disk this is
// a device 0:0, and a directory that hides the content below it has a mark, as overlayfs expects. Entries that a layer takes
// from the layers below are marked as well: see marks.ts.
import type { Fd } from "../../kernel/file/fd.ts";
import type { RawName } from "../../kernel/tree/tree.ts";
import { Held } from "../program/budget.ts";
import { damaged } from "../stream/feed.ts";
import type { TarEntry, TarSink, TarTarget } from "../tar/entry.ts";
import type { Untar, UntarOptions } from "../tar/untar.ts";
import { componentsOf } from "../tar/untar-place.ts";
import { isOverlayAttribute, type Mark, markIn, namesOfMark, setMark, YES } from "./marks.ts";

const WHITEOUT = ".wh.";
const OPAQUE = ".wh..wh..opq";
const BOOKKEEPING = ".wh..wh.";

function textOfPath(components: readonly RawName[]): string {
  return components.join("/");
}

const IMPLIED: readonly string[] = namesOfMark("implied");

/** Returns the rules for unpacking a layer into the directory `top`, without those below it. */
export function layerOptions(top: Fd): UntarOptions {
  const leave = (file: Fd, mark: Mark, value: Buffer) => {
    const isLeft = setMark(file, mark, value);
    return isLeft && setMark(top, "incomplete", YES);
  };
  return {
    links: "existing",
    dropAttribute: isOverlayAttribute,
    keepAttribute: (name) => isOverlayAttribute(name) && !IMPLIED.includes(name),
    onImplied: (directory) => void leave(directory, "implied", YES),
    replaceLink: (file, target) => leave(file, "hardlink", Buffer.from(target, "latin1")),
  };
}

/** Unpacks a layer into a directory of its own. */
export class LayerTarget implements TarTarget {
  readonly #untar: Untar;
  readonly #held = new Held();
  /** The names that this layer removes; entries of the layer itself win over them. */
  readonly #gone = new Set<string>();

  constructor(untar: Untar) {
    this.#untar = untar;
  }

  entry(entry: TarEntry): TarSink | null {
    const components = componentsOf(entry.path);
    const name = components.at(-1);
    if (name?.startsWith(WHITEOUT)) {
      this.#whiteout(components.slice(0, -1), name, entry);
      return null;
    }
    this.#reveal(components, entry.kind === "directory");
    return this.#untar.entry(entry);
  }

  #whiteout(parent: RawName[], name: RawName, entry: TarEntry): void {
    if (name === OPAQUE) {
      this.#hideBelow(parent);
      return;
    }
    if (name.startsWith(BOOKKEEPING)) return;
    const hidden = name.slice(WHITEOUT.length);
    if (hidden === "" || hidden === "." || hidden === "..") throw damaged("a whiteout of no file");
    const components = [...parent, hidden];
    const path = textOfPath(components);
    const present = this.#untar.tree.look(components);
    if (present === "directory") this.#hideBelow(components);
    if (present !== "nothing") return;
    this.#reveal(parent, true);
    this.#held.add(path.length + 64, "whiteouts");
    this.#gone.add(path);
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

  /** Adds an entry whose name was removed: a directory of that name hides the one below. */
  #reveal(components: readonly RawName[], isDirectory: boolean): void {
    if (this.#gone.size === 0) return;
    for (let depth = 1; depth <= components.length; depth++) {
      const part = components.slice(0, depth);
      if (!this.#gone.delete(textOfPath(part))) continue;
      this.#untar.tree.discard(part);
      if (depth < components.length || isDirectory) this.#hideBelow(part);
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

  constructor(untar: Untar) {
    this.#untar = untar;
  }

  entry(entry: TarEntry): TarSink | null {
    const { kind, major, minor, attributes } = entry;
    const components = componentsOf(entry.path);
    if (kind === "character" && major === 0 && minor === 0) {
      this.#untar.tree.discard(components);
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
    if (isOpaque && components.length > 0) {
      if (isImplied) this.#untar.tree.empty(components);
      else this.#untar.tree.discard(components);
    }
    // A link without a target is kept: later members make its target.
    if (isImplied && (this.#untar.tree.leadsOn(components) || this.#untar.tree.look(components) === "symlink"))
      return null;
    return this.#untar.entry(entry);
  }
}
