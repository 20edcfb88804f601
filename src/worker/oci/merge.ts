// Merges layers on disk into one tree. The members of a layer come in the order of their names, so that removals are
// done before the others, and hard links to files of other layers after them.
import type { Turns } from "../../base/turns.ts";
import type { Fd } from "../../kernel/file/fd.ts";
import { RawStatus } from "../../kernel/tree/raw-status.ts";
import { openDirectory, type RawEntry, type RawName, readSomeEntries } from "../../kernel/tree/tree.ts";
import { Held } from "../program/budget.ts";
import type { TarEntry, TarSink, TarTarget } from "../tar/entry.ts";
import { componentsOf, requireDepth } from "../untar/place.ts";
import type { Untar, UntarOptions } from "../untar/untar.ts";
import { isOverlayAttribute, markIn, markOf } from "./marks.ts";

/** A placeholder of a hard link, which is made at the end of its layer. */
interface LateLink {
  readonly path: RawName;
  readonly target: RawName;
  readonly order: number;
}

/** An implied directory that is not there yet. */
interface Hollow {
  readonly components: readonly RawName[];
  readonly entry: TarEntry;
}

/** The rules for merging layers: entries that a layer takes from those below are resolved inside the tree. */
export const MERGE_OPTIONS: UntarOptions = { links: "make", dropAttribute: isOverlayAttribute };

const LINK: Omit<TarEntry, "path" | "target"> = {
  kind: "hard-link",
  mode: 0,
  uid: 0,
  gid: 0,
  size: 0,
  time: { seconds: 0, nanoseconds: 0 },
  major: 0,
  minor: 0,
  attributes: null,
  acl: { access: null, fallback: null },
  sparse: null,
};

/** Merges a layer on disk into the tree of the layers below it. */
export class MergeTarget implements TarTarget, Disposable {
  readonly #untar: Untar;
  readonly #status = new RawStatus();
  readonly #held = new Held();
  readonly #late = new Map<string, LateLink>();
  /** From outside to inside: they are made with the first file in them. Whiteouts alone make no directory. */
  readonly #hollow: Hollow[] = [];
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
    this.#untar.forget();
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

  /**
   * Ends a layer. Makes its hard links to files that it does not have under these names: they are in the layers below,
   * or the layer has written them through a link, perhaps with a later name.
   */
  finish(): void {
    this.#hollow.length = 0;
    const links = [...this.#late.values()].sort((a, b) => a.order - b.order);
    for (const { path, target } of links) this.#untar.entry({ ...LINK, path, target });
    this.#late.clear();
    this.#held[Symbol.dispose]();
  }

  entry(entry: TarEntry): TarSink | null {
    const { kind, major, minor, attributes } = entry;
    const components = componentsOf(entry.path);
    this.#leaveHollow(components);
    if (kind === "character" && major === 0 && minor === 0) {
      if (!this.#hasRemoved) this.#untar.tree.discard(components);
      return null;
    }
    if (kind === "directory") return this.#directory(components, entry);
    this.#makeHollow();
    const target = markIn(attributes, "hardlink")?.toString("latin1");
    if (target !== undefined) {
      return this.#linkLate(components, { path: entry.path, target, order: Number(markIn(attributes, "order")) });
    }
    const late = kind === "hard-link" ? this.#late.get(componentsOf(entry.target).join("/")) : undefined;
    if (late !== undefined) return this.#linkLate(components, { ...late, path: entry.path });
    return this.#untar.entry(entry);
  }

  #linkLate(components: readonly RawName[], link: LateLink): null {
    this.#held.add(2 * link.path.length + link.target.length + 128, "hard links");
    this.#late.set(components.join("/"), link);
    return null;
  }

  /** Forgets the directories without files that are not above the next entry. */
  #leaveHollow(components: readonly RawName[]): void {
    const isAbove = (outer: readonly RawName[]) =>
      outer.length < components.length && outer.every((name, at) => name === components[at]);
    for (let last = this.#hollow.at(-1); last !== undefined && !isAbove(last.components); last = this.#hollow.at(-1))
      this.#hollow.pop();
  }

  #makeHollow(): void {
    for (const { entry } of this.#hollow.splice(0)) this.#untar.entry(entry);
  }

  #directory(components: readonly RawName[], entry: TarEntry): TarSink | null {
    const isImplied = markIn(entry.attributes, "implied") !== null;
    const isOpaque = markIn(entry.attributes, "opaque") !== null;
    if (isOpaque && components.length > 0 && !this.#hasRemoved) this.#hide(components, isImplied);
    // A link without a target is kept: later members make its target.
    if (isImplied && (this.#untar.tree.leadsOn(components) || this.#untar.tree.look(components) === "symlink"))
      return null;
    if (isImplied) {
      this.#hollow.push({ components, entry });
      return null;
    }
    this.#makeHollow();
    return this.#untar.entry(entry);
  }

  [Symbol.dispose](): void {
    this.#held[Symbol.dispose]();
  }
}
