// Keeps the state files of machines up to date. The registry in memory counts, the files serve the next daemon: one that
// cannot be written (full /run, no free descriptor) is a warning for the admin and written again later, never a reason to
// refuse or to lose a machine.
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

  /** Writes the file of a machine, now or, where that fails, again and again until it succeeds or the machine ends. */
  save(machine: Machine): void {
    const error = this.#attempt(() => this.#files.save(machine));
    if (error === null) this.#unsaved.delete(machine);
    else {
      const text = `Failed to save the state of machine ${machine.name}: ${error}; trying again.`;
      if (this.#unsaved.has(machine)) this.#log.debug(text);
      else this.#log.warning(text);
      this.#unsaved.add(machine);
      this.#retryLater();
    }
  }

  /** Notes a machine whose scope is about to be made. Without the note only a crash at this moment loses the machine. */
  reserve(machine: Machine): void {
    const error = this.#attempt(() => this.#files.reserve(machine));
    if (error !== null) this.#log.warning(`Failed to note the start of machine ${machine.name}: ${error}`);
  }

  /** Removes that note. */
  release(name: string): void {
    const error = this.#attempt(() => this.#files.release(name));
    if (error !== null) this.#log.warning(`Failed to remove the note about the start of machine ${name}: ${error}`);
  }

  /** Removes the file of a machine; `heir` is another one in its unit. */
  remove(name: string, unit: string | null, heir: string | null): void {
    const error = this.#attempt(() => this.#files.remove(name, unit, heir));
    if (error !== null) this.#log.warning(`Failed to remove the state of machine ${name}: ${error}`);
  }

  /** The machine has ended: its file is not written any more. */
  forget(machine: Machine): void {
    this.#unsaved.delete(machine);
  }

  /** Writes what could not be written yet. */
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

  /** The text of the host's failure, or null. A failure of ours passes through. */
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
