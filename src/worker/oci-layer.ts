// The layers of container images. In an archive a file `.wh.NAME` says that NAME of the layers below is gone; on disk that
// is a device 0:0, and a directory that hides what was below it has a mark, as overlayfs wants them.
import type { RawName } from "../kernel/tree.ts";
import type { TarEntry, TarSink, TarTarget } from "./tar-entry.ts";
import { damaged } from "./tar-header.ts";
import type { Untar } from "./untar.ts";
import { componentsOf } from "./untar-place.ts";

const WHITEOUT = ".wh.";
const OPAQUE = ".wh..wh..opq";
const BOOKKEEPING = ".wh..wh.";
/** Overlayfs reads one or the other, depending on who mounts it. */
const OPAQUE_MARKS = ["trusted.overlay.opaque", "user.overlay.opaque"];
const YES = Buffer.from("y");

/** Attributes with which a layer could tell overlayfs to look elsewhere. */
export function isOverlayAttribute(name: string): boolean {
  return name.startsWith("trusted.overlay.") || name.startsWith("user.overlay.");
}

function textOfPath(components: readonly RawName[]): string {
  return components.join("/");
}

/** Unpacks a layer into a directory of its own. */
export class LayerTarget implements TarTarget {
  readonly #untar: Untar;
  /** What this layer has, and what it says is gone: the first wins over the second within one layer. */
  readonly #present = new Map<string, "directory" | "other">();
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
    for (let depth = 1; depth < components.length; depth++) {
      this.#present.set(textOfPath(components.slice(0, depth)), "directory");
    }
    this.#present.set(textOfPath(components), entry.kind === "directory" ? "directory" : "other");
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
    const present = this.#present.get(path);
    if (present === "directory") this.#hideBelow(components);
    if (present !== undefined) return;
    this.#reveal(parent, true);
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
      sparse: null,
    });
  }

  #hideBelow(components: readonly RawName[]): void {
    for (const mark of OPAQUE_MARKS) this.#untar.mark(components, mark, YES);
  }

  /** What was said to be gone and comes after all: a directory of that name shows nothing of the one below. */
  #reveal(components: readonly RawName[], isDirectory: boolean): void {
    if (this.#gone.size === 0) return;
    for (let depth = 1; depth <= components.length; depth++) {
      const part = components.slice(0, depth);
      if (!this.#gone.delete(textOfPath(part))) continue;
      this.#untar.discard(part);
      if (depth < components.length || isDirectory) this.#hideBelow(part);
    }
  }
}

/** Puts a layer, as it is on disk, on top of what is unpacked already: one tree of all layers. */
export class MergeTarget implements TarTarget {
  readonly #untar: Untar;

  constructor(untar: Untar) {
    this.#untar = untar;
  }

  entry(entry: TarEntry): TarSink | null {
    const { kind, major, minor, attributes } = entry;
    const components = componentsOf(entry.path);
    if (kind === "character" && major === 0 && minor === 0) {
      this.#untar.discard(components);
      return null;
    }
    const isOpaque = OPAQUE_MARKS.some((mark) => attributes?.get(mark)?.equals(YES));
    if (kind === "directory" && isOpaque && components.length > 0) this.#untar.discard(components);
    return this.#untar.entry(entry);
  }
}
