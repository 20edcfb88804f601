// The way to where an archive's next member goes. Archives come in the order of a walk, so the directories from the top to
// the last member stay open, and only what differs is opened anew: one component at a time, each a real directory.
import { ErrnoError } from "../base/error.ts";
import type { Fd } from "../kernel/fd.ts";
import { check } from "../kernel/sys.ts";
import { type RawName, textOf } from "../kernel/tree.ts";
import { damaged } from "./tar-header.ts";
import { adopt, EEXIST, ENOENT, tryMakeDirectory, tryOpenDirectory } from "./untar-calls.ts";

const DEPTH_LIMIT = 128;

/**
 * A member's path as components below the top. Leading slashes are dropped as tar does; a path that names `..` anywhere is
 * an attack or a mistake and is refused, wherever it would lead.
 */
export function componentsOf(path: RawName): RawName[] {
  const parts = path.split("/").filter((part) => part !== "" && part !== ".");
  if (parts.includes("..")) throw damaged(`member ${JSON.stringify(textOf(path))} leads out of the tree`);
  if (parts.length > DEPTH_LIMIT)
    throw new ErrnoError("E2BIG", `Archive has directories nested deeper than ${DEPTH_LIMIT}`);
  return parts;
}

interface Step {
  readonly name: RawName;
  readonly fd: Fd;
}

const IMPLIED_MODE = 0o755;

export class Place implements Disposable {
  readonly #top: Fd;
  readonly #steps: Step[] = [];

  /** `top` stays the caller's. */
  constructor(top: Fd) {
    this.#top = top;
  }

  /** The directory of these components, made with its parents when `missing` is "make". It stays this object's. */
  reach(components: readonly RawName[], missing: "make" | "refuse"): Fd {
    let same = 0;
    while (same < this.#steps.length && this.#steps[same]?.name === components[same]) same++;
    while (this.#steps.length > same) this.#steps.pop()?.fd.close();
    let current = this.#steps.at(-1)?.fd ?? this.#top;
    for (const name of components.slice(same)) {
      const fd = openOrMake(current, name, missing);
      this.#steps.push({ name, fd });
      current = fd;
    }
    return current;
  }

  [Symbol.dispose](): void {
    for (const { fd } of this.#steps.splice(0)) fd.close();
  }
}

function openOrMake(parent: Fd, name: RawName, missing: "make" | "refuse"): Fd {
  let result = tryOpenDirectory(parent, name);
  if (result === ENOENT && missing === "make") {
    const made = tryMakeDirectory(parent, name, IMPLIED_MODE);
    if (made < 0 && made !== EEXIST) check(made, "mkdir", textOf(name));
    result = tryOpenDirectory(parent, name);
  }
  return adopt(result, "open directory", name);
}
