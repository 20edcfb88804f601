// State files, /run/systemd/machines/NAME, with the text of state-text.ts. Other programs watch the directory: the
// rename at the end of a write is a contract. A link `unit:UNIT` points to the file of the unit's machine.

import { mkdirSync, readdirSync, readlinkSync, renameSync, symlinkSync, unlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { errnoNameOf } from "../../base/error.ts";
import { isMachineName } from "../../base/names.ts";
import { openPath } from "../../kernel/file/fd.ts";
import { readRegular } from "../../kernel/file/regular-file.ts";
import type { Machine } from "./machine.ts";
import { formatMachine, parseMachine, type SavedMachine } from "./state-text.ts";

/** Ours are below 48 KiB. The original bounds texts only by the size of a message. */
const FILE_LIMIT_BYTES = 4 << 20;
/**
 * The prefix of notes about machines that are being started. No machine name can begin with it, so that daemons and
 * clients skip such files.
 */
const RESERVATION = ".#starting-";

/** The content of the directory. */
export interface LoadedMachines {
  readonly machines: readonly SavedMachine[];
  /** Machines whose scope was requested, but that were not saved as started. */
  readonly reserved: readonly SavedMachine[];
  /** Names of files that describe no machine. */
  readonly broken: readonly string[];
  readonly unread: readonly { readonly name: string; readonly error: unknown }[];
}

export class MachineFiles {
  readonly #directory: string;

  /**
   * `directory`: /run/systemd/machines. It is created at its first use, because clients take its existence as a sign of
   * the service.
   */
  constructor(directory: string) {
    this.#directory = directory;
  }

  /** Writes the file, by the rename that monitors of the directory wait for, and the link of its unit. */
  save(machine: Machine): void {
    this.#write(machine.name, machine);
    if (machine.place !== null) this.#link(machine.place.unit, machine.name);
    this.release(machine.name);
  }

  /** Writes a note about a machine whose scope is about to be made, so that the daemon finds it after a crash. */
  reserve(machine: Machine): void {
    this.#write(`${RESERVATION}${machine.name}`, machine);
  }

  /** Removes the note that `reserve()` made. */
  release(name: string): void {
    remove(join(this.#directory, `${RESERVATION}${name}`));
  }

  #write(file: string, machine: Machine): void {
    mkdirSync(this.#directory, { recursive: true, mode: 0o755 });
    const temporary = join(this.#directory, `.#${file}${process.pid.toString(36)}`);
    try {
      writeFileSync(temporary, formatMachine(machine), { mode: 0o644 });
      renameSync(temporary, join(this.#directory, file));
    } catch (error) {
      remove(temporary);
      throw error;
    }
  }

  /** Removes file and link. `heir` is another machine in the same unit, which gets the link. */
  remove(name: string, unit: string | null, heir: string | null): void {
    if (unit !== null && this.#linkTarget(unit) === name) {
      remove(this.#linkPath(unit));
      if (heir !== null) this.#link(unit, heir);
    }
    remove(join(this.#directory, name));
    this.release(name);
  }

  /** Reads all files, also when some of them are broken. Throws where there is no directory. */
  load(): LoadedMachines {
    mkdirSync(this.#directory, { recursive: true, mode: 0o755 });
    const found = { machines: [], reserved: [], broken: [], unread: [] } as {
      machines: SavedMachine[];
      reserved: SavedMachine[];
      broken: string[];
      unread: { name: string; error: unknown }[];
    };
    for (const entry of readdirSync(this.#directory, { withFileTypes: true })) {
      const isReserved = entry.name.startsWith(RESERVATION);
      if (!isReserved && entry.name.startsWith(".#")) remove(join(this.#directory, entry.name)); // of a killed daemon
      const name = isReserved ? entry.name.slice(RESERVATION.length) : entry.name;
      if (!entry.isFile() || !isMachineName(name)) continue;
      try {
        const saved = this.#read(entry.name, name);
        if (saved !== null) found[isReserved ? "reserved" : "machines"].push(saved);
        else if (isReserved) this.release(name);
        else found.broken.push(name);
      } catch (error) {
        found.unread.push({ name, error });
      }
    }
    return found;
  }

  /** Returns null for a file that does not describe `name`, or is longer than any state file. */
  #read(file: string, name: string): SavedMachine | null {
    try {
      using opened = openPath(join(this.#directory, file), "read");
      return parseMachine(name, readRegular(opened, FILE_LIMIT_BYTES).toString());
    } catch (error) {
      const errno = errnoNameOf(error);
      if (errno === "ENOENT" || errno === "EFBIG" || errno === "EBADF") return null;
      throw error;
    }
  }

  #linkPath(unit: string): string {
    return join(this.#directory, `unit:${unit}`);
  }

  #linkTarget(unit: string): string | null {
    try {
      return readlinkSync(this.#linkPath(unit));
    } catch (error) {
      // EINVAL: it is no link, so that making one fails with EEXIST.
      if (["ENOENT", "EINVAL"].includes(errnoNameOf(error) ?? "")) return null;
      throw error;
    }
  }

  /** Makes the link of a unit. The first machine of a unit keeps the link; a link to a missing file is replaced. */
  #link(unit: string, name: string): void {
    const target = this.#linkTarget(unit);
    if (target === name || (target !== null && this.#read(target, target) !== null)) return;
    if (target !== null) remove(this.#linkPath(unit));
    symlinkSync(name, this.#linkPath(unit));
  }
}

function remove(path: string): void {
  try {
    unlinkSync(path);
  } catch (error) {
    if (errnoNameOf(error) !== "ENOENT") throw error;
  }
}
