// The way to where an archive's next member goes. Archives come in the order of a walk, so the directories from the top to
// the last member stay open, and only what differs is opened anew: one component at a time, each a real directory. Where
// links of the tree count as directories they are walked by hand: an absolute target begins at the top, `..` ends there,
// and each step is again a real directory.
import { ErrnoError } from "../../base/error.ts";
import type { Fd } from "../../kernel/file/fd.ts";
import { EEXIST, ELOOP, ENOENT, ENOTDIR } from "../../kernel/syscall/constants.ts";
import { check } from "../../kernel/syscall/sys.ts";
import { type RawName, readLinkIn, textOf } from "../../kernel/tree/tree.ts";
import { damaged } from "../stream/feed.ts";
import { adopt, tryMakeDirectory, tryOpenDirectory } from "./untar-calls.ts";

const DEPTH_LIMIT = 128;

/**
 * A member's path as components below the top. Leading slashes are dropped as tar does; a path that names `..` anywhere is
 * an attack or a mistake and is refused, wherever it would lead.
 */
export function componentsOf(path: RawName): RawName[] {
  const parts = path.split("/").filter((part) => part !== "" && part !== ".");
  if (parts.includes("..")) throw damaged(`member ${JSON.stringify(textOf(path))} leads out of the tree`);
  requireDepth(parts.length);
  return parts;
}

function requireDepth(depth: number): void {
  if (depth <= DEPTH_LIMIT) return;
  throw new ErrnoError("E2BIG", `Archive has directories nested deeper than ${DEPTH_LIMIT}`);
}

interface Reached {
  readonly fd: Fd;
  /** From the top, without links. */
  readonly real: readonly RawName[];
}

interface Step extends Reached {
  readonly name: RawName;
}

export const IMPLIED_MODE = 0o755;

export interface PlaceOptions {
  /** Whether links of the tree are no directories, lead on inside of it to what is there, or to what is then made. */
  readonly links?: "refuse" | "existing" | "make";
  /** Called with each directory that is made on the way to a member. */
  readonly onImplied?: (directory: Fd, real: readonly RawName[]) => void;
}

export class Place implements Disposable {
  readonly #top: Fd;
  readonly #options: PlaceOptions;
  readonly #steps: Step[] = [];

  /** `top` stays the caller's. */
  constructor(top: Fd, options: PlaceOptions = {}) {
    this.#top = top;
    this.#options = options;
  }

  /** The way from the top to what was reached last, without links. */
  get real(): readonly RawName[] {
    return this.#steps.at(-1)?.real ?? [];
  }

  /** The directory of these components, made with its parents when `missing` is "make". It stays this object's. */
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
    const result = openOrMake(fd, name, missing, (made) => this.#options.onImplied?.(made, inner));
    if (!isInTheWay(result)) return { fd: adopt(result, "open directory", name), real: inner };
    const { links = "refuse" } = this.#options;
    if (links === "refuse") throw noDirectory(inner);
    return new LinkWalk(this.#top, links === "make" ? missing : "refuse", this.#options).run(real, name);
  }

  [Symbol.dispose](): void {
    for (const { fd } of this.#steps.splice(0)) fd.close();
  }
}

function isInTheWay(result: number): boolean {
  return result === ENOTDIR || result === ELOOP;
}

function noDirectory(path: readonly RawName[]): ErrnoError {
  const name = textOf(path.join("/"));
  return new ErrnoError("ENOTDIR", `Archive has members below '${name}', which is no directory`);
}

function openOrMake(parent: Fd, name: RawName, missing: "make" | "refuse", onMade: (made: Fd) => void): number {
  const result = tryOpenDirectory(parent, name);
  if (result !== ENOENT || missing === "refuse") return result;
  const made = tryMakeDirectory(parent, name, IMPLIED_MODE);
  if (made < 0 && made !== EEXIST) check(made, "mkdir", textOf(name));
  const opened = tryOpenDirectory(parent, name);
  return opened < 0 || made < 0 ? opened : told(adopt(opened, "open directory", name), onMade);
}

function told(made: Fd, onMade: (made: Fd) => void): number {
  try {
    onMade(made);
    return made.take();
  } finally {
    made.close();
  }
}

/** As many links as the kernel follows. */
const LINKS_LIMIT = 40;

/** The walk to a directory whose way leads over links. */
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

  /** Takes one part of the way; what is left of it afterwards. */
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
    if (result === ENOENT) throw noDirectory(inner);
    if (!isInTheWay(result)) {
      this.#enter(adopt(result, "open directory", part), inner);
      return rest;
    }
    const target = readLinkIn(this.#current, part);
    if (target === null || ++this.#links > LINKS_LIMIT) throw noDirectory(inner);
    if (target.startsWith("/")) this.#go([]);
    return [...target.split("/"), ...rest];
  }

  /** Goes to a directory whose way has no links. */
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
