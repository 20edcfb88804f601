// Has removed what killed workers left in the directories of images: by a worker, because a tree can be large and the
// daemon never touches images itself. One at a time; what is still in use is locked, and stays.
import { readdirSync } from "node:fs";
import { IMAGE_CLASSES } from "../base/vocabulary/image-class.ts";
import { type Child, spawnSelf } from "../kernel/process/spawn.ts";
import type { Paths } from "./paths.ts";

/** All that is not, or no longer, an image is called so; lock files are nobody's leftovers. */
const HIDDEN = /^\.#(?!.*\.lck$)/;
const SIGTERM = 15;

export class Sweeper {
  readonly #paths: Paths;
  #running: Child | null = null;
  #again = false;

  constructor(paths: Paths) {
    this.#paths = paths;
  }

  /** Looks for leftovers, and starts the worker where there may be any. */
  sweep(): void {
    this.#again = this.#running !== null;
    if (this.#running !== null) return;
    const directories = IMAGE_CLASSES.values.map((name) => this.#paths.imageRoot(name)).filter(hasHidden);
    if (directories.length === 0) return;
    const child = spawnSelf("systemd-import-sweep", directories, { stdout: "ignore", signalWithParent: SIGTERM });
    child.pidRef?.[Symbol.dispose]();
    this.#running = child;
    void child.exited.then(() => {
      this.#running = null;
      if (this.#again) this.sweep();
    });
  }

  /** Waits until all is swept, at most for so long: what is left then is for the next time. */
  async finished(patienceMs: number): Promise<void> {
    let isLate = false;
    const late = Promise.withResolvers<void>();
    const timer = setTimeout(() => {
      isLate = true;
      this.#running?.kill(SIGTERM);
      late.resolve();
    }, patienceMs);
    while (this.#running !== null && !isLate) await Promise.race([this.#running.exited, late.promise]);
    clearTimeout(timer);
  }
}

function hasHidden(directory: string): boolean {
  try {
    return readdirSync(directory).some((name) => HIDDEN.test(name));
  } catch {
    // No such directory, or one that cannot be read now: what is left over in it stays for the next time.
    return false;
  }
}
