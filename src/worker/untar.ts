// Unpacks a tar archive as root into a directory that nobody else can reach. The archive is an enemy: whatever it says,
// nothing outside the directory is made, changed or read (CVE-2007-4559 and its many successors). No decision is taken on
// the text of a path: each member is made in an open directory that was reached without following any link.
//
// Directories get their owner, permissions and times at the very end, so that nothing can be said about a directory that
// later became something else (CVE-2021-31566), and so that no default list or group is inherited meanwhile.
import { ErrnoError } from "../base/error.ts";
import { Fd } from "../kernel/fd.ts";
import { removeTree } from "../kernel/remove-tree.ts";
import { check } from "../kernel/sys.ts";
import { type RawName, textOf } from "../kernel/tree.ts";
import { log } from "./import-log.ts";
import type { TarEntry, TarSink, TarTarget } from "./tar-entry.ts";
import { damaged } from "./tar-header.ts";
import {
  adopt,
  changeMode,
  EEXIST,
  NODE_MODE,
  setLength,
  tryCreateFile,
  tryLink,
  tryMakeDirectory,
  tryMakeNode,
  tryMakeSymlink,
  tryOpenDirectory,
  trySetAttribute,
  tryUnlink,
} from "./untar-calls.ts";
import { FileSink } from "./untar-file.ts";
import { type Metadata, type MetadataPolicy, MetadataWriter } from "./untar-metadata.ts";
import { componentsOf, Place } from "./untar-place.ts";

export interface UntarOptions extends MetadataPolicy {
  /** Called with the number of bytes that were written; it throws to stop. */
  readonly wrote?: (bytes: number) => void;
  /** Permissions of the top, where the archive does not say. */
  readonly topMode?: number;
  /** Refuses device nodes: for whoever may not make any. */
  readonly refuseDevices?: boolean;
}

const EPERM = -1;
const EOPNOTSUPP = -95;
const PRIVATE_MODE = 0o700;
const DIRECTORIES_LIMIT = 500_000;

export class Untar implements TarTarget, Disposable {
  readonly #top: Fd;
  readonly #options: UntarOptions;
  readonly #place: Place;
  readonly #sources: Place;
  readonly #metadata: MetadataWriter;
  readonly #directories = new Map<RawName, Metadata>();
  #open: FileSink | null = null;
  #hasStripped = false;

  /** Unpacks into `top`, which stays the caller's. */
  constructor(top: Fd, options: UntarOptions = {}) {
    this.#top = top;
    this.#options = options;
    this.#place = new Place(top);
    this.#sources = new Place(top);
    this.#metadata = new MetadataWriter(options);
  }

  entry(entry: TarEntry): TarSink | null {
    if (entry.path.startsWith("/")) this.#noteStripped();
    const components = componentsOf(entry.path);
    const name = components.pop();
    if (entry.kind === "directory") {
      this.#makeDirectory(components, name, entry);
      return null;
    }
    if (name === undefined) throw damaged("a member without a name");
    const parent = this.#place.reach(components, "make");
    if (entry.kind === "regular") return this.#makeFile(parent, name, entry);
    if (entry.kind === "hard-link") this.#makeHardLink(parent, name, [...components, name], entry);
    else this.#makeOther(parent, name, entry);
    return null;
  }

  /** Gives the directories what the archive says of them. After this the tree is complete. */
  finish(): void {
    // The innermost first: who is not root cannot reach below a directory that forbids it.
    const paths = [...this.#directories.keys()].sort().reverse();
    for (const path of paths) {
      const components = path === "" ? [] : path.split("/");
      const fd = this.#reopen(components);
      if (fd === null) continue;
      using directory = fd;
      this.#metadata.finishFile(directory, this.#directories.get(path) as Metadata, "private");
    }
    const { topMode } = this.#options;
    if (topMode !== undefined && !this.#directories.has("")) changeMode(this.#top, topMode);
    this.#directories.clear();
  }

  /** Removes what has this name so far; nothing is fine. */
  discard(components: readonly RawName[]): void {
    const name = components.at(-1);
    const parent = name === undefined ? null : this.#reachAgain(components.slice(0, -1));
    if (parent !== null && name !== undefined) removeTree(parent, name);
  }

  /** Gives a directory an attribute beside those of the archive. */
  mark(components: readonly RawName[], name: string, value: Buffer): void {
    const result = trySetAttribute(this.#place.reach(components, "make"), name, value);
    if (result !== EOPNOTSUPP && result !== EPERM) check(result, "setxattr", name);
  }

  [Symbol.dispose](): void {
    this.#open?.close();
    this.#place[Symbol.dispose]();
    this.#sources[Symbol.dispose]();
  }

  /** The directory of these components; null when a later member has taken its place. */
  #reopen(components: readonly RawName[]): Fd | null {
    const name = components.at(-1);
    if (name === undefined) return this.#top.duplicate();
    const parent = this.#reachAgain(components.slice(0, -1));
    const result = parent === null ? -1 : tryOpenDirectory(parent, name);
    return result < 0 ? null : Fd.adopt(result);
  }

  #reachAgain(components: readonly RawName[]): Fd | null {
    try {
      return this.#place.reach(components, "refuse");
    } catch {
      return null;
    }
  }

  #noteStripped(): void {
    if (this.#hasStripped || this.#options.isQuiet) return;
    this.#hasStripped = true;
    log("warning", "Archive has absolute member names, taking them below the image.");
  }

  #makeDirectory(parents: readonly RawName[], name: RawName | undefined, entry: TarEntry): void {
    const path = name === undefined ? "" : [...parents, name].join("/");
    if (name !== undefined) {
      const parent = this.#place.reach(parents, "make");
      const result = tryMakeDirectory(parent, name, PRIVATE_MODE);
      if (result === EEXIST) this.#requireDirectory(parent, name);
      else if (result < 0) check(result, "mkdir", textOf(name));
    }
    this.#directories.set(path, this.#metadata.of(entry));
    if (this.#directories.size > DIRECTORIES_LIMIT) {
      throw new ErrnoError("EFBIG", `Archive has more than ${DIRECTORIES_LIMIT} directories`);
    }
  }

  /** What is there gives way to the directory, unless it is one. */
  #requireDirectory(parent: Fd, name: RawName): void {
    const found = tryOpenDirectory(parent, name);
    if (found >= 0) {
      Fd.adopt(found).close();
      return;
    }
    check(tryUnlink(parent, name), "unlink", textOf(name));
    check(tryMakeDirectory(parent, name, PRIVATE_MODE), "mkdir", textOf(name));
  }

  #makeFile(parent: Fd, name: RawName, entry: TarEntry): TarSink {
    const metadata = this.#metadata.of(entry);
    const mode = metadata.mode & 0o777;
    let result = tryCreateFile(parent, name, mode);
    if (result === EEXIST) {
      removeTree(parent, name);
      result = tryCreateFile(parent, name, mode);
    }
    const file = adopt(result, "create", name);
    const finish = () => {
      if (entry.sparse !== null) setLength(file, entry.size);
      this.#metadata.finishFile(file, metadata, "with-mode");
      file.close();
      this.#open = null;
    };
    this.#open = new FileSink(file, entry.sparse !== null, finish, this.#options.wrote);
    return this.#open;
  }

  #makeHardLink(parent: Fd, name: RawName, path: readonly RawName[], entry: TarEntry): void {
    const source = componentsOf(entry.target);
    if (source.join("/") === path.join("/")) return;
    const sourceName = source.pop();
    if (sourceName === undefined) throw damaged(`link '${textOf(entry.path)}' to the top of the tree`);
    const from = this.#sources.reach(source, "refuse");
    this.#make(parent, name, "link", () => tryLink(from, sourceName, parent, name));
    // A later member may replace what these directories are.
    this.#sources[Symbol.dispose]();
  }

  #makeOther(parent: Fd, name: RawName, entry: TarEntry): void {
    const isLink = entry.kind === "symlink";
    if (isLink) this.#make(parent, name, "symlink", () => tryMakeSymlink(parent, name, entry.target));
    else this.#makeNode(parent, name, entry);
    this.#metadata.finishEntry(parent, name, this.#metadata.of(entry), isLink);
  }

  #makeNode(parent: Fd, name: RawName, { kind, mode, major, minor, path }: TarEntry): void {
    if (kind !== "fifo" && this.#options.refuseDevices) {
      throw new ErrnoError("EPERM", `Archive has the device node '${textOf(path)}', which cannot be made here`);
    }
    const bits = NODE_MODE[kind as keyof typeof NODE_MODE] | (mode & 0o777);
    this.#make(parent, name, "mknod", () => tryMakeNode(parent, name, bits, major, minor));
  }

  /** Makes an entry; what has the name already gives way, as with tar. */
  #make(parent: Fd, name: RawName, call: string, attempt: () => number): void {
    let result = attempt();
    if (result === EEXIST) {
      removeTree(parent, name);
      result = attempt();
    }
    if (result < 0) check(result, call, textOf(name));
  }
}
