// Keeps the state files of machines up to date. The registry in memory is authoritative; the files are for the next
// daemon. A file that cannot be written (full /run, no free descriptor) is logged as a warning and retried later; the
// machine is neither refused nor lost.
import { errnoNameOf } from "../../base/error.ts";
import type { Log } from "../ports.ts";
import type { MachineFiles } from "./file.ts";
import type { Machine } from "./machine.ts";

const RETRY_MS = 1_000;
const RETRY_LIMIT_MS = 30_000;

export class MachineSaver {
  readonly #files: MachineFiles;
  readonly #log: Log;
  readonly #unsaved = new Set<Machine>();
  #timer: ReturnType<typeof setTimeout> | null = null;
  #retryMs = RETRY_MS;

  constructor(files: MachineFiles, log: Log) {
    this.#files = files;
    this.#log = log;
  }

  /**
   * Writes the file of a machine, unless its text is `present`; where that fails, retries until it succeeds or the
   * machine ends.
   */
  save(machine: Machine, present?: string): void {
    const error = this.#attempt(() => this.#files.save(machine, present));
    if (error === null) this.#unsaved.delete(machine);
    else {
      const text = `Failed to save the state of machine ${machine.name}: ${error}; trying again.`;
      if (this.#unsaved.has(machine)) this.#log.debug(text);
      else this.#log.warning(text);
      this.#unsaved.add(machine);
      this.#retryLater();
    }
  }

  /**
   * Writes a note about a machine whose scope is about to be made. Without it, a crash at this moment loses the
   * machine.
   */
  reserve(machine: Machine): void {
    const error = this.#attempt(() => this.#files.reserve(machine));
    if (error !== null) this.#log.warning(`Failed to note the start of machine ${machine.name}: ${error}`);
  }

  /** Removes that note. */
  release(name: string): void {
    const error = this.#attempt(() => this.#files.release(name));
    if (error !== null) this.#log.warning(`Failed to remove the note about the start of machine ${name}: ${error}`);
  }

  /** Removes the file of a machine; `heir` is another machine in its unit. */
  remove(name: string, unit: string | null, heir: string | null): void {
    const error = this.#attempt(() => this.#files.remove(name, unit, heir));
    if (error !== null) this.#log.warning(`Failed to remove the state of machine ${name}: ${error}`);
  }

  /** Stops retries for a machine that has ended. */
  forget(machine: Machine): void {
    this.#unsaved.delete(machine);
  }

  /** Retries the writes that failed. */
  retry(): void {
    for (const machine of [...this.#unsaved]) this.save(machine);
    if (this.#unsaved.size === 0) this.#retryMs = RETRY_MS;
  }

  #retryLater(): void {
    if (this.#timer !== null) return;
    this.#timer = setTimeout(() => {
      this.#timer = null;
      this.retry();
    }, this.#retryMs);
    this.#timer.unref();
    this.#retryMs = Math.min(this.#retryMs * 2, RETRY_LIMIT_MS);
  }

  /** Returns the text of a failed system call, or null on success. Rethrows any other error. */
  #attempt(work: () => void): string | null {
    try {
      work();
      return null;
    } catch (error) {
      if (errnoNameOf(error) === null) throw error;
      return (error as Error).message;
    }
  }
}
