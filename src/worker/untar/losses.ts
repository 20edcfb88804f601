// Counts metadata of an archive or tree that the target's file system cannot store: the work continues without it, and
// each kind becomes one line of the log, with the number of files and the first of them.
import { errnoName, errnoText } from "../../base/errno.ts";
import { type RawName, textOf } from "../../kernel/tree/tree.ts";
import { log } from "../program/log.ts";

/** The number of kinds that are counted separately; further kinds are counted together. */
const KINDS_LIMIT = 50;
const MORE = "more";

interface Loss {
  readonly text: string;
  readonly first: RawName;
  files: number;
}

export class Losses {
  readonly #kinds = new Map<string, Loss>();

  /** Counts the file `path`; `text` is the kind: what is missing and why. */
  note(text: string, path: RawName): void {
    const known = this.#kinds.size < KINDS_LIMIT || this.#kinds.has(text);
    const kind = known ? text : MORE;
    const loss = this.#kinds.get(kind);
    if (loss !== undefined) loss.files++;
    else
      this.#kinds.set(kind, { text: known ? text : "Further attributes cannot be kept here", first: path, files: 1 });
  }

  /** Logs the lines, and clears the counts. */
  report(): void {
    for (const { text, first, files } of this.#kinds.values()) {
      const where = files === 1 ? `'${textOf(first)}'` : `${files} files, the first of them '${textOf(first)}'`;
      log("warning", `${text}, leaving it out: ${where}`);
    }
    this.#kinds.clear();
  }
}

/** Returns the name of an attribute for the log: user.* and trusted.*, whose names are arbitrary, are one kind each. */
function kindOf(name: string): string {
  const isOwn = name.startsWith("user.") || name.startsWith("trusted.");
  return isOwn ? `${name.slice(0, name.indexOf("."))}.*` : name.replace(/[^ -~]/g, "?").slice(0, 64);
}

/**
 * Returns the kind for `Losses.note()` of an attribute that could not be set, because of `errno` where that is known.
 */
export function attributeLoss(name: string, errno: number | null = null): string {
  if (errno === null) return `Extended attribute '${kindOf(name)}' cannot be kept here`;
  const why = errnoName(errno) === "ENOSPC" ? "Too large for this file system" : errnoText(errno);
  return `Extended attribute '${kindOf(name)}' cannot be kept here (${why})`;
}
