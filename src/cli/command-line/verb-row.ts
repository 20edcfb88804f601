// What a table of verbs is made of, and what is derived from its rows.

import type { Session } from "../session/session.ts";
import type { Settings } from "../session/settings.ts";
import type { OptionTable } from "./getopt.ts";
import type { OptionContext } from "./option-values.ts";

/** What a word after a verb names. Shells complete it by this. */
export type WordKind =
  /** A registered machine. */
  | "machine"
  /** A registered machine, or `.host` for the host itself. */
  | "machine-or-host"
  /** `[USER@]MACHINE`. */
  | "login"
  /** A command of the machine, with its arguments. */
  | "command"
  /** A path inside the machine that an earlier word names. */
  | "machine-path"
  /** An image of the class in question. */
  | "image"
  /** An image, or the path of a settings file. */
  | "settings"
  | "file"
  | "directory"
  | "boolean"
  /** A kind of inventory. */
  | "inventory"
  | "transfer"
  | "verb"
  /** Nothing that a shell could know. */
  | "free";

/** A word after the verb. */
interface WordRow {
  readonly type: "positional";
  readonly required: boolean;
  /** Whether more words of the same kind may follow. */
  readonly repeated?: true;
  readonly description?: string;
  readonly complete: WordKind;
}

/** The options of every verb that prints a list with columns. */
export const LIST_OPTIONS = ["columns", "sort", "filter", "template", "json-version"];

/** The type of a column's values in JSON, and how they are compared. */
export type ColumnType = "text" | "list" | "boolean" | "number" | "bytes" | "percent" | "microseconds" | "time";

/** A column of the list that a verb prints, as help, completion and documents show it. */
export interface ColumnRow {
  /** Its name in options and in JSON. */
  readonly key: string;
  /** Other names that options take. */
  readonly aliases?: readonly string[];
  /** The heading, where it is not the key. */
  readonly title?: string;
  readonly type: ColumnType;
  readonly description: string;
  readonly isUsual?: true;
  /** All values that it can have, where they are few. */
  readonly values?: readonly string[];
  /** The members of the JSON object and their types, where they are not one of the key. */
  readonly memberTypes?: Readonly<Record<string, ColumnType>>;
}

/**
 * How the outputs of several hosts become one:
 * - `rows`: a list with a column more.
 * - `pages`: one after the other, under the name of the host.
 * - `events`: line by line as they come; why a host failed is said at once.
 * - `streams`: both streams line by line, with the host in front; the exit status is the first that is not 0.
 * - `silent`: nothing is printed but why a host failed.
 * - `none`: it has nothing to do with hosts.
 */
type HostsMode = "rows" | "pages" | "events" | "streams" | "silent" | "none";

export interface VerbRow {
  readonly meta: {
    readonly name: string;
    readonly description: string;
    readonly alias?: readonly string[];
    readonly hidden?: true;
  };
  readonly group: "Machine" | "Image" | "Transfer";
  readonly args: Readonly<Record<string, WordRow>>;
  /** The options made for this verb, for its usage text; all others are accepted as well. */
  readonly options?: readonly string[];
  /** The columns of the list that it prints. */
  readonly columns?: () => Promise<readonly ColumnRow[]>;
  /** Whether any number of further words is taken and ignored. */
  readonly anyWords?: true;
  /** After this many words all that follows belongs to the verb, even what looks like an option. */
  readonly wordsUntilRest?: number;
  /** Whether it runs when no verb is named. */
  readonly isDefault?: true;
  /** `-H` has it run by the client of the other host, which reads what only that has, or has a terminal of it. */
  readonly runsThere?: "with-pipes" | "on-terminal";
  /** What becomes of it on several hosts; a verb without this works on one. */
  readonly hosts?: HostsMode;
  /** Prints a notice before the number of words is checked. */
  readonly announce?: (session: Session) => void;
  /** Takes the words after the verb and the program that it belongs to; returns the exit status. */
  readonly run: (session: Session, words: readonly string[], program: ClientProgram) => Promise<number>;
}

/** A client, as its tables describe it. */
export interface ClientProgram {
  readonly name: string;
  /** What it is for, in one sentence. */
  readonly abstract: string;
  /** In the order of the help text. */
  readonly groups: readonly VerbRow["group"][];
  readonly verbs: readonly VerbRow[];
  readonly options: OptionTable<Settings, OptionContext>;
}

/** All names under which verbs are called, aliases after their verb, in table order. */
export function verbNames(verbs: readonly VerbRow[]): string[] {
  return verbs.filter(({ meta }) => meta.hidden !== true).flatMap(({ meta }) => [meta.name, ...(meta.alias ?? [])]);
}

/** The row of a verb or alias. */
export function findVerb(verbs: readonly VerbRow[], name: string): VerbRow | undefined {
  return verbs.find(({ meta }) => meta.name === name || meta.alias?.includes(name) === true);
}

/** How many words a verb takes at least and at most. */
export function wordLimits(verb: VerbRow): { least: number; most: number } {
  const words = Object.values(verb.args);
  const open = verb.anyWords === true || words.some(({ repeated }) => repeated === true);
  return {
    least: words.filter(({ required }) => required).length,
    most: open ? Number.POSITIVE_INFINITY : words.length,
  };
}

/** The words of a verb as usage texts show them: `NAME…`, `[NAME…]`, `NAME PATH [PATH]`. */
export function wordsUsage(verb: VerbRow, ellipsis: string): string {
  const shown = Object.entries(verb.args).map(([name, { required, repeated }]) => {
    const word = name.toUpperCase() + (repeated === true ? ellipsis : "");
    return required ? word : `[${word}]`;
  });
  return shown.join(" ");
}
