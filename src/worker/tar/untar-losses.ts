// Metadata of an archive that the target cannot store: each kind is one line of the log, with the number of files and the first of
// them. Files without an attribute are better than no files.
import { errnoName, errnoText } from "../../base/errno.ts";
import { type RawName, textOf } from "../../kernel/tree/tree.ts";
import { log } from "../program/log.ts";

/** Kinds beyond this many are counted together. */
const KINDS_LIMIT = 50;
const MORE = "more";

interface Loss {
  readonly text: string;
  readonly first: RawName;
  files: number;
}

export class Losses {
  readonly #kinds = new Map<string, Loss>();

  /** Counts that the file `path` lacks something; `text` says what and why, the same for all files of the kind. */
  note(text: string, path: RawName): void {
    const known = this.#kinds.size < KINDS_LIMIT || this.#kinds.has(text);
    const kind = known ? text : MORE;
    const loss = this.#kinds.get(kind);
    if (loss !== undefined) loss.files++;
    else
      this.#kinds.set(kind, { text: known ? text : "Further attributes cannot be kept here", first: path, files: 1 });
  }

  /** Writes the lines, and clears the counts. */
  report(): void {
    for (const { text, first, files } of this.#kinds.values()) {
      const where = files === 1 ? `'${textOf(first)}'` : `${files} files, the first of them '${textOf(first)}'`;
      log("warning", `${text}, leaving it out: ${where}`);
    }
    this.#kinds.clear();
  }
}

/** Returns the name of an attribute in the log: attributes with free names are one kind for each namespace. */
function kindOf(name: string): string {
  const isOwn = name.startsWith("user.") || name.startsWith("trusted.");
  return isOwn ? `${name.slice(0, name.indexOf("."))}.*` : name.replace(/[^ -~]/g, "?").slice(0, 64);
}

/** An attribute that the kernel or the file system refused with `errno`. */
export function attributeLoss(name: string, errno: number): string {
  const why = errnoName(errno) === "ENOSPC" ? "Too large for this file system" : errnoText(errno);
  return `Extended attribute '${kindOf(name)}' cannot be kept here (${why})`;
}
