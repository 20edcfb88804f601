// Removes the entries that killed workers left in the directories of images. A worker does it (systemd-import-sweep),
// because a tree can be large and the daemon never changes images itself. One worker runs at a time; it skips entries
// that are locked.
import { readdirSync } from "node:fs";
import { errnoNameOf } from "../base/error.ts";
import type { Log } from "../base/log.ts";
import { IMAGE_CLASSES } from "../base/vocabulary/image-class.ts";
import { type Child, spawnSelf } from "../kernel/process/spawn.ts";
import type { Paths } from "./paths.ts";
import { inheritedEnvironment } from "./worker-command.ts";

/** The names of entries that are not yet, or no longer, an image. Lock files are none. */
const HIDDEN = /^\.#(?!.*\.lck$)/;
const SIGTERM = 15;

/** Starts the worker on request. */
export class Sweeper {
  readonly #paths: Pick<Paths, "imageRoot">;
  readonly #log: Log;
  #running: Child | null = null;
  #again = false;

  constructor(paths: Pick<Paths, "imageRoot">, log: Log) {
    this.#paths = paths;
    this.#log = log;
  }

  /**
   * Starts the worker where a directory has such entries; once more after the running worker, where there is one. Where
   * it cannot be started, the entries stay until the next sweep.
   */
  sweep(): void {
    this.#again = this.#running !== null;
    if (this.#running !== null) return;
    const directories = IMAGE_CLASSES.values.map((name) => this.#paths.imageRoot(name)).filter(hasHidden);
    if (directories.length === 0) return;
    const child = this.#start(directories);
    if (child === null) return;
    this.#running = child;
    void child.exited.then(() => {
      this.#running = null;
      if (this.#again) this.sweep();
    });
  }

  #start(directories: readonly string[]): Child | null {
    try {
      const env = inheritedEnvironment(process.env);
      const child = spawnSelf("systemd-import-sweep", directories, {
        env,
        stdout: "ignore",
        signalWithParent: SIGTERM,
      });
      child.pidRef?.[Symbol.dispose]();
      return child;
    } catch (error) {
      if (errnoNameOf(error) === null) throw error;
      this.#log.warning(`Cannot remove what killed workers have left: ${(error as Error).message}`);
      return null;
    }
  }

  /**
   * Waits until the worker has ended, for at most `patienceMs`; then it is terminated, and the next daemon starts it
   * again.
   */
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
    // The directory is missing, or cannot be read now: its left-over files stay until the next sweep.
    return false;
  }
}
