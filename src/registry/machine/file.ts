// State files, /run/systemd/machines/NAME, with the text of state-text.ts. Other programs watch the directory: the
// rename at the end of a write is a contract. A link `unit:UNIT` points to the file of the unit's machine.

import { mkdirSync, readdirSync, renameSync, symlinkSync, unlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { errnoNameOf } from "../../base/error.ts";
import { isMachineName } from "../../base/names.ts";
import { openPath, readLinkAt } from "../../kernel/file/fd.ts";
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
/** The prefix of the links of units. */
const LINK = "unit:";
const NAME_MAX_BYTES = 255;

/** A file of the directory. */
export type FoundFile =
  /** `text`: what the file contains. */
  | { readonly kind: "machine"; readonly saved: SavedMachine; readonly text: string }
  /** A machine whose scope was requested, but that was not saved as started. */
  | { readonly kind: "reserved"; readonly saved: SavedMachine }
  /** A file that describes no machine. */
  | { readonly kind: "broken"; readonly name: string }
  | { readonly kind: "unread"; readonly name: string; readonly error: unknown };

export class MachineFiles {
  readonly #directory: string;

  /**
   * `directory`: /run/systemd/machines. It is created at its first use, because clients take its existence as a sign of
   * the service.
   */
  constructor(directory: string) {
    this.#directory = directory;
  }

  /**
   * Writes the file, by the rename that monitors of the directory wait for, and the link of its unit, and removes the
   * note that `reserve()` made. `present`: the text in the file, which is not written again where it is still right;
   * whoever reads the files finds the note after them.
   */
  save(machine: Machine, present?: string): void {
    const text = formatMachine(machine);
    if (text !== present) this.#write(machine.name, text);
    const unit = linkable(machine.place?.unit);
    if (unit !== null) this.#link(unit, machine.name);
    if (present === undefined) this.release(machine.name);
  }

  /** Writes a note about a machine whose scope is about to be made, so that the daemon finds it after a crash. */
  reserve(machine: Machine): void {
    this.#write(`${RESERVATION}${machine.name}`, formatMachine(machine));
  }

  /** Removes the note that `reserve()` made. */
  release(name: string): void {
    remove(join(this.#directory, `${RESERVATION}${name}`));
  }

  #write(file: string, text: string): void {
    mkdirSync(this.#directory, { recursive: true, mode: 0o755 });
    const temporary = join(this.#directory, `.#${file}${process.pid.toString(36)}`);
    try {
      writeFileSync(temporary, text, { mode: 0o644 });
      renameSync(temporary, join(this.#directory, file));
    } catch (error) {
      remove(temporary);
      throw error;
    }
  }

  /** Removes file and link. `heir` is another machine in the same unit, which gets the link. */
  remove(name: string, unitOrNone: string | null, heir: string | null): void {
    const unit = linkable(unitOrNone);
    if (unit !== null && this.#linkTarget(unit) === name) {
      remove(this.#linkPath(unit));
      if (heir !== null) this.#link(unit, heir);
    }
    remove(join(this.#directory, name));
    this.release(name);
  }

  /**
   * Reads the files one after the other, those of started machines first; also when some of them are broken. Throws
   * where there is no directory. Only one file's content is in memory at a time.
   */
  *read(): Generator<FoundFile> {
    mkdirSync(this.#directory, { recursive: true, mode: 0o755 });
    const names = readdirSync(this.#directory, { withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => entry.name);
    const reserved = names.filter((name) => name.startsWith(RESERVATION));
    for (const name of names) {
      if (isMachineName(name)) yield this.#found(name, name);
      // Temporary files of a killed daemon.
      else if (name.startsWith(".#") && !name.startsWith(RESERVATION)) this.#removeIfPossible(name);
    }
    for (const file of reserved) {
      const name = file.slice(RESERVATION.length);
      if (!isMachineName(name)) continue;
      const found = this.#found(file, name);
      if (found.kind === "machine") yield { kind: "reserved", saved: found.saved };
      else if (found.kind === "broken") this.#removeIfPossible(file);
      else yield found;
    }
  }

  /** A useless file that cannot be removed must not keep the others from being read; the next daemon tries again. */
  #removeIfPossible(file: string): void {
    try {
      remove(join(this.#directory, file));
    } catch (error) {
      if (errnoNameOf(error) === null) throw error;
    }
  }

  #found(file: string, name: string): FoundFile {
    try {
      const text = this.#text(file);
      const saved = text === null ? null : parseMachine(name, text);
      return text === null || saved === null ? { kind: "broken", name } : { kind: "machine", saved, text };
    } catch (error) {
      return { kind: "unread", name, error };
    }
  }

  /** Returns null for a file that is missing, or longer than any state file. */
  #text(file: string): string | null {
    try {
      using opened = openPath(join(this.#directory, file), "read");
      return readRegular(opened, FILE_LIMIT_BYTES).toString();
    } catch (error) {
      const errno = errnoNameOf(error);
      if (errno === "ENOENT" || errno === "EFBIG" || errno === "EBADF") return null;
      throw error;
    }
  }

  /** Whether the file describes the machine of that name. */
  #describes(name: string): boolean {
    const text = this.#text(name);
    return text !== null && parseMachine(name, text) !== null;
  }

  #linkPath(unit: string): string {
    return join(this.#directory, `${LINK}${unit}`);
  }

  #linkTarget(unit: string): string | null {
    try {
      return readLinkAt(null, this.#linkPath(unit));
    } catch (error) {
      // EINVAL: it is no link, so that making one fails with EEXIST.
      if (["ENOENT", "EINVAL"].includes(errnoNameOf(error) ?? "")) return null;
      throw error;
    }
  }

  /** Makes the link of a unit. The first machine of a unit keeps the link; a link to a missing file is replaced. */
  #link(unit: string, name: string): void {
    const target = this.#linkTarget(unit);
    if (target === name || (target !== null && this.#describes(target))) return;
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

/** Returns the unit; null for none, and for one whose name has no room for the prefix: it has no link. */
function linkable(unit: string | null | undefined): string | null {
  return unit == null || Buffer.byteLength(LINK + unit) > NAME_MAX_BYTES ? null : unit;
}
