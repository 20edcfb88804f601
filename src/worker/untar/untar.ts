// Unpacks a tar archive into a directory that no other process can access. The archive is untrusted: nothing outside
// the directory is made, changed or read (CVE-2007-4559 and its many successors). Path texts are not trusted either:
// each member is made in an open directory that was reached without leaving the tree.
//
// Directories get owner, permissions and times at the end, so that these are not applied to an entry that has replaced
// the directory (CVE-2021-31566), and so that no default ACL or group is inherited meanwhile.
import { ErrnoError, errnoNameOf } from "../../base/error.ts";
import { removeAttribute } from "../../kernel/file/attributes.ts";
import type { Fd } from "../../kernel/file/fd.ts";
import { changeMode } from "../../kernel/file/ownership.ts";
import { EOPNOTSUPP, EPERM } from "../../kernel/syscall/constants.ts";
import { check, unlessErrno } from "../../kernel/syscall/sys.ts";
import { makeDirectory } from "../../kernel/tree/link.ts";
import { removeTree } from "../../kernel/tree/remove.ts";
import { openEntry, type RawName, textOf } from "../../kernel/tree/tree.ts";
import { entryCost, Held, type Spending } from "../program/budget.ts";
import { log } from "../program/log.ts";
import { damaged } from "../stream/feed.ts";
import type { TarEntry, TarSink, TarTarget } from "../tar/entry.ts";
import { LateAcls } from "./acl.ts";
import { adopt, setLength, tryCreateFile, tryOpenDirectory, trySetAttribute, trySetEntryAttribute } from "./calls.ts";
import { isWhiteout, makeFile, makeLink, makeNode, makeSymlink } from "./entries.ts";
import { FileSink } from "./file.ts";
import { type MetadataPolicy, MetadataWriter } from "./metadata.ts";
import { PendingDirectories } from "./pending.ts";
import { componentsOf, IMPLIED_MODE, Place, type PlaceOptions, requireDepth } from "./place.ts";
import { TreeSoFar } from "./tree.ts";

export interface UntarOptions extends MetadataPolicy {
  /** Counts entries and bytes; throws where a limit is exceeded. */
  readonly spending?: Pick<Spending, "wrote" | "entered">;
  /** The limit of memory for what is kept until the end. */
  readonly heldLimitBytes?: number;
  /** The permissions of the top, where the archive has no member for it. */
  readonly topMode?: number;
  /** Refuses device nodes, which unprivileged users cannot make. Whiteouts of overlayfs (0:0) are still made. */
  readonly refuseDevices?: boolean;
  /** Whether symbolic links in place of parent directories are followed (place.ts). */
  readonly links?: PlaceOptions["links"];
  /** Called with each directory that has no member, the top included. */
  readonly onImplied?: (directory: Fd) => void;
  /**
   * Fills the new file that replaces a hard link whose target is not in this tree; returns false where that is an
   * error.
   */
  readonly replaceLink?: (file: Fd, target: RawName) => boolean;
}

/** Receives the entries of an archive and makes them below `top`; `finish()` completes the tree. */
export class Untar implements TarTarget, Disposable {
  readonly #top: Fd;
  readonly #options: UntarOptions;
  readonly #place: Place;
  readonly tree: TreeSoFar;
  readonly #metadata: MetadataWriter;
  readonly #held: Held;
  readonly #directories: PendingDirectories;
  readonly #acls: LateAcls;
  #open: FileSink | null = null;
  #hasTop = false;
  #hasStripped = false;

  /** The caller still owns `top`. */
  constructor(top: Fd, options: UntarOptions = {}) {
    this.#top = top;
    this.#options = options;
    this.#held = new Held(options.heldLimitBytes);
    this.#directories = new PendingDirectories(top, this.#held);
    this.#acls = new LateAcls(this.#held);
    const { links = "refuse" } = options;
    this.#place = new Place(top, { links, onImplied: (directory, path) => this.#noteImplied(directory, path) });
    this.tree = new TreeSoFar(top, links);
    this.#metadata = new MetadataWriter(options);
  }

  entry(entry: TarEntry): TarSink | null {
    if (entry.path.startsWith("/")) this.#noteStripped();
    this.#options.spending?.entered(entryCost(entry.kind, entry.attributes ?? []));
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

  /** Closes the open directories: those of earlier entries may have been removed. */
  forget(): void {
    this.#place[Symbol.dispose]();
  }

  /**
   * Sets the metadata of directories and the ACLs with names. Yields often, so that other work can run. After this the
   * tree is complete.
   */
  *finishing(): Generator<void> {
    // The paths have no links: a link that has replaced a directory leads to another one.
    using real = new TreeSoFar(this.#top);
    for (const pending of this.#directories.innermostFirst()) {
      yield;
      if (pending === null) continue;
      const { components, metadata } = pending;
      const fd = real.reopen(components);
      if (fd === null) continue;
      using directory = fd;
      this.#metadata.finishDirectory(directory, components.join("/"), metadata);
    }
    const { topMode, onImplied } = this.#options;
    if (!this.#hasTop) {
      if (topMode !== undefined) changeMode(this.#top, topMode);
      onImplied?.(this.#top);
    }
    yield* this.#finishAcls();
    if (!this.#options.isQuiet) this.#metadata.losses.report();
  }

  *#finishAcls(): Generator<void> {
    for (const list of this.#acls.resolved(this.#top, (id) => this.#metadata.mapId(id))) {
      yield;
      const { components, attribute, value } = list;
      const path = components.join("/");
      if (value === null) {
        this.#metadata.losses.note("Access control list names users or groups that the archive does not have", path);
        continue;
      }
      const name = components.at(-1);
      const parent = name === undefined ? this.#top : this.tree.tryReach(components.slice(0, -1));
      if (parent === null || this.tree.lookIn(parent, name ?? ".") === "nothing") continue;
      using file = openEntry(parent, name ?? ".");
      if (!this.#acls.isSame(list, file)) continue;
      this.#metadata.settle(trySetEntryAttribute(parent, name ?? ".", attribute, value), attribute, path, parent);
    }
  }

  /** Sets an attribute of a directory that is not in the archive; ignores that it cannot be set (EOPNOTSUPP, EPERM). */
  mark(components: readonly RawName[], name: string, value: Buffer): void {
    const result = trySetAttribute(this.#place.reach(components, "make"), name, value);
    if (result !== EOPNOTSUPP && result !== EPERM) check(result, "setxattr", name);
  }

  /** Removes an attribute that `mark()` or `onImplied` has set. */
  unmark(components: readonly RawName[], name: string): void {
    unlessErrno(() => removeAttribute(this.#place.reach(components, "make"), name), undefined, "EOPNOTSUPP", "EPERM");
  }

  [Symbol.dispose](): void {
    this.#open?.close();
    this.#place[Symbol.dispose]();
    this.tree[Symbol.dispose]();
    this.#directories[Symbol.dispose]();
    this.#held[Symbol.dispose]();
  }

  #noteImplied(directory: Fd, path: readonly RawName[]): void {
    this.#options.spending?.entered(entryCost("directory", []));
    this.#acls.forget(path);
    this.#directories.add(path, this.#metadata.implied(IMPLIED_MODE));
    this.#options.onImplied?.(directory);
  }

  #noteStripped(): void {
    if (this.#hasStripped || this.#options.isQuiet) return;
    this.#hasStripped = true;
    log("warning", "Archive has absolute member names, unpacking them below the image's root.");
  }

  #makeDirectory(parents: readonly RawName[], name: RawName | undefined, entry: TarEntry): void {
    const metadata = this.#metadata.of(entry);
    const { attributes, namedAcls } = metadata;
    const parent = this.#place.reach(parents, "make");
    const path = [...this.#place.real, ...(name === undefined ? [] : [name])];
    requireDepth(path.length);
    const wasThere = name === undefined || !makeDirectory({ directory: parent, name }, true);
    if (name === undefined) this.#hasTop = true;
    this.#directories.add(path, { ...metadata, wasThere });
    this.#acls.forget(path);
    if (!wasThere && attributes.length === 0 && namedAcls.length === 0) return;
    using directory =
      name === undefined ? this.#top.duplicate() : adopt(tryOpenDirectory(parent, name), "open directory", name);
    if (wasThere) this.#metadata.clearAttributes(directory);
    this.#metadata.setAttributes(directory, path.join("/"), attributes);
    this.#acls.add(path, directory, namedAcls);
  }

  #makeFile(parent: Fd, name: RawName, entry: TarEntry): TarSink {
    const metadata = this.#metadata.of(entry);
    const file = makeFile(parent, name, metadata.mode & 0o777);
    const path = this.#place.real;
    const finish = () => {
      if (entry.sparse !== null) setLength(file, entry.size, entry.path);
      this.#metadata.finishFile(file, entry.path, metadata);
      this.#acls.add([...path, name], file, metadata.namedAcls);
      file.close();
      this.#open = null;
    };
    this.#open = new FileSink(file, entry.sparse !== null, finish, this.#options.spending?.wrote);
    return this.#open;
  }

  #makeHardLink(parent: Fd, name: RawName, path: readonly RawName[], entry: TarEntry): void {
    const source = componentsOf(entry.target);
    // The file may be in a lower layer.
    if (source.join("/") === path.join("/") && this.#options.replaceLink !== undefined) return;
    const sourceName = source.pop();
    if (sourceName === undefined) throw damaged(`link '${textOf(entry.path)}' to the top of the tree`);
    const from = this.#directoryOfSource(source);
    const found = from === null ? "nothing" : this.tree.lookIn(from, sourceName);
    // Both names may lead to the same file: it must not be removed to make room for itself.
    const isSame = sourceName === name && this.tree.real.join("/") === this.#place.real.join("/");
    // A second name of a whiteout would remove the file of that name, too.
    if (found === "whiteout" && this.#options.replaceLink !== undefined) throw noSource(entry);
    if (from !== null && found !== "nothing") {
      if (!isSame) {
        makeLink(from, sourceName, parent, name);
        this.#acls.forget([...this.#place.real, name]);
      }
    } else if (!this.#replaceLink(parent, name, entry.target)) throw noSource(entry);
    // A later member may replace what these directories are.
    this.tree.forget();
  }

  /** Returns the directory of a hard link's target; null where it is missing. */
  #directoryOfSource(source: readonly RawName[]): Fd | null {
    try {
      return this.tree.reach(source);
    } catch (error) {
      const isMissing = errnoNameOf(error) === "ENOENT";
      if (isMissing || (this.#options.replaceLink !== undefined && errnoNameOf(error) === "ENOTDIR")) return null;
      throw error;
    }
  }

  #replaceLink(parent: Fd, name: RawName, target: RawName): boolean {
    const { replaceLink } = this.#options;
    if (replaceLink === undefined) return false;
    removeTree(parent, name);
    using file = adopt(tryCreateFile(parent, name, 0o600), "create", name);
    this.#acls.forget([...this.#place.real, name]);
    return replaceLink(file, target);
  }

  #makeOther(parent: Fd, name: RawName, entry: TarEntry): void {
    const isLink = entry.kind === "symlink";
    if (isLink) makeSymlink(parent, name, entry.target);
    else makeNode(parent, name, entry, this.#options.refuseDevices === true);
    this.#acls.forget([...this.#place.real, name]);
    // The owner of a whiteout has no effect, and only root could set it.
    if (isWhiteout(entry)) return;
    this.#metadata.finishEntry(parent, name, entry.path, this.#metadata.of(entry), isLink);
  }
}

function noSource({ path, target }: TarEntry): ErrnoError {
  return new ErrnoError("ENOENT", `Archive links '${textOf(path)}' to '${textOf(target)}', which it does not have`);
}
