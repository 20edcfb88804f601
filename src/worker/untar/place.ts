// Opens or makes the parent directory of an archive's next member. Archives are mostly in the order of a walk, so the
// directories of the last path stay open, and only the differing components are opened: one at a time, each of them a
// real directory. Where symbolic links to directories are allowed, they are resolved here, not by the kernel: an
// absolute target begins at the top of the tree, `..` cannot leave it, and each step is again a real directory.
import { ErrnoError } from "../../base/error.ts";
import type { Fd } from "../../kernel/file/fd.ts";
import { EEXIST, ELOOP, ENOENT, ENOTDIR } from "../../kernel/syscall/constants.ts";
import { check } from "../../kernel/syscall/sys.ts";
import { type RawName, readLinkIn, textOf } from "../../kernel/tree/tree.ts";
import { damaged } from "../stream/feed.ts";
import { adopt, tryMakeDirectory, tryOpenDirectory } from "./calls.ts";

const DEPTH_LIMIT = 128;

/**
 * Returns the components of a member's path below the top. Drops leading slashes, as tar does. Throws EBADMSG for a
 * path with `..`, even if it would not leave the tree, and E2BIG for one that is too deep.
 */
export function componentsOf(path: RawName): RawName[] {
  const parts = path.split("/").filter((part) => part !== "" && part !== ".");
  if (parts.includes("..")) throw damaged(`member ${JSON.stringify(textOf(path))} leads out of the tree`);
  requireDepth(parts.length);
  return parts;
}

/** Throws E2BIG for a number of components that is too large. */
export function requireDepth(depth: number): void {
  if (depth <= DEPTH_LIMIT) return;
  throw new ErrnoError("E2BIG", `Archive has directories nested deeper than ${DEPTH_LIMIT}`);
}

/** An open directory of the tree. */
interface Reached {
  readonly fd: Fd;
  /** Its path from the top, without links. */
  readonly real: readonly RawName[];
}

interface Step extends Reached {
  readonly name: RawName;
}

/** The permissions of parent directories that have no member of their own. */
export const IMPLIED_MODE = 0o755;

export interface PlaceOptions {
  /**
   * Symbolic links in place of directories: refused; followed to existing directories; or followed, making missing
   * ones.
   */
  readonly links?: "refuse" | "existing" | "make";
  /** Called with each parent directory that is made for a member. */
  readonly onImplied?: (directory: Fd, real: readonly RawName[]) => void;
}

/** The open directories of the last path. */
export class Place implements Disposable {
  readonly #top: Fd;
  readonly #options: PlaceOptions;
  readonly #steps: Step[] = [];

  /** The caller still owns `top`. */
  constructor(top: Fd, options: PlaceOptions = {}) {
    this.#top = top;
    this.#options = options;
  }

  /** The path of the directory that was reached last, from the top and without links. */
  get real(): readonly RawName[] {
    return this.#steps.at(-1)?.real ?? [];
  }

  /** Returns the directory of a path; makes it and its parents where `missing` is "make". This object still owns it. */
  reach(components: readonly RawName[], missing: "make" | "refuse"): Fd {
    let same = 0;
    while (same < this.#steps.length && this.#steps[same]?.name === components[same]) same++;
    while (this.#steps.length > same) this.#steps.pop()?.fd.close();
    for (const name of components.slice(same)) this.#steps.push({ name, ...this.#step(name, missing) });
    return this.#steps.at(-1)?.fd ?? this.#top;
  }

  #step(name: RawName, missing: "make" | "refuse"): Reached {
    const { fd = this.#top, real = [] } = this.#steps.at(-1) ?? {};
    const inner = [...real, name];
    // Behind a link, the directory is deeper than its path in the archive.
    requireDepth(inner.length);
    const result = openOrMake(fd, name, missing, (made) => this.#options.onImplied?.(made, inner));
    if (!isNoDirectory(result)) return { fd: adopt(result, "open directory", name), real: inner };
    const { links = "refuse" } = this.#options;
    if (links === "refuse") throw notDirectory(inner);
    return new LinkWalk(this.#top, links === "make" ? missing : "refuse", this.#options).run(real, name);
  }

  [Symbol.dispose](): void {
    for (const { fd } of this.#steps.splice(0)) fd.close();
  }
}

function isNoDirectory(result: number): boolean {
  return result === ENOTDIR || result === ELOOP;
}

function notDirectory(path: readonly RawName[]): ErrnoError {
  const name = textOf(path.join("/"));
  return new ErrnoError("ENOTDIR", `Archive has members below '${name}', which is not a directory`);
}

/**
 * Opens a directory, and makes it if `missing` allows; calls `onMade` for a new one. Returns its descriptor or a
 * negative errno.
 */
function openOrMake(parent: Fd, name: RawName, missing: "make" | "refuse", onMade: (made: Fd) => void): number {
  const result = tryOpenDirectory(parent, name);
  if (result !== ENOENT || missing === "refuse") return result;
  const made = tryMakeDirectory(parent, name, IMPLIED_MODE);
  if (made < 0 && made !== EEXIST) check(made, "mkdir", textOf(name));
  const opened = tryOpenDirectory(parent, name);
  return opened < 0 || made < 0 ? opened : afterMade(adopt(opened, "open directory", name), onMade);
}

/** Calls `onMade`; returns the descriptor, or closes it where that throws. */
function afterMade(made: Fd, onMade: (made: Fd) => void): number {
  try {
    onMade(made);
    return made.take();
  } finally {
    made.close();
  }
}

/** The kernel's limit of links in a path. */
const LINKS_LIMIT = 40;

/** Resolves a path with symbolic links inside the tree. */
class LinkWalk {
  readonly #top: Fd;
  readonly #missing: "make" | "refuse";
  readonly #options: PlaceOptions;
  #real: RawName[] = [];
  #current: Fd;
  #links = 0;

  constructor(top: Fd, missing: "make" | "refuse", options: PlaceOptions) {
    this.#top = top;
    this.#missing = missing;
    this.#options = options;
    this.#current = top.duplicate();
  }

  run(from: readonly RawName[], name: RawName): Reached {
    try {
      this.#go(from);
      let queue = [name];
      for (let part = queue.shift(); part !== undefined; part = queue.shift()) queue = this.#take(part, queue);
      return { fd: this.#current, real: this.#real };
    } catch (error) {
      this.#current.close();
      throw error;
    }
  }

  /** Resolves one component; returns the components that are still to resolve. */
  #take(part: RawName, rest: RawName[]): RawName[] {
    if (part === "" || part === ".") return rest;
    if (part === "..") {
      this.#go(this.#real.slice(0, -1));
      return rest;
    }
    requireDepth(this.#real.length + 1);
    const inner = [...this.#real, part];
    const onMade = (made: Fd) => this.#options.onImplied?.(made, inner);
    const result = openOrMake(this.#current, part, this.#missing, onMade);
    if (result === ENOENT) throw notDirectory(inner);
    if (!isNoDirectory(result)) {
      this.#enter(adopt(result, "open directory", part), inner);
      return rest;
    }
    const target = readLinkIn(this.#current, part);
    if (target === null || ++this.#links > LINKS_LIMIT) throw notDirectory(inner);
    if (target.startsWith("/")) this.#go([]);
    return [...target.split("/"), ...rest];
  }

  /** Opens a directory whose path has no links. */
  #go(real: readonly RawName[]): void {
    this.#enter(this.#top.duplicate(), []);
    for (const name of real) {
      this.#enter(adopt(tryOpenDirectory(this.#current, name), "open directory", name), [...this.#real, name]);
    }
  }

  #enter(fd: Fd, real: RawName[]): void {
    this.#current.close();
    this.#current = fd;
    this.#real = real;
  }
}
