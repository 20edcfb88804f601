// The type of a row in a table of verbs, and functions over such tables.

import type { Session } from "../session/session.ts";
import type { Settings } from "../session/settings.ts";
import type { OptionTable } from "./getopt.ts";
import type { OptionContext } from "./option-values.ts";

/** What a word after a verb names; the shell completions offer these names. */
export type WordKind =
  /** A registered machine. */
  | "machine"
  /** A registered machine, or `.host` for the host itself. */
  | "machine-or-host"
  /** `[USER@]MACHINE`. */
  | "login"
  /** A command inside the machine, with its arguments. */
  | "command"
  /** A path inside the machine that an earlier word names. */
  | "machine-path"
  /** An image of the class that `--class=` selects. */
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
  /** Free text, for which a shell has no completion. */
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

/** The long names of the options that every verb with a list of columns has. */
export const LIST_OPTIONS = ["columns", "sort", "filter", "template", "json-version"];

/** The type of a column's values in JSON, and how they are compared. */
export type ColumnType = "text" | "list" | "boolean" | "number" | "bytes" | "percent" | "microseconds" | "time";

/** The description of a column of a verb's list, from which help, completion and documents are made. */
export interface ColumnRow {
  /** Its name in options and in JSON. */
  readonly key: string;
  /** Other names under which the options accept it. */
  readonly aliases?: readonly string[];
  /** The heading, where it is not the key. */
  readonly title?: string;
  readonly type: ColumnType;
  readonly description: string;
  /** Whether the column is shown without `--columns=`. */
  readonly isUsual?: true;
  /** All values that the column can have, where they are few. */
  readonly values?: readonly string[];
  /** The members of the JSON object and their types, where they differ from a single member called `key`. */
  readonly memberTypes?: Readonly<Record<string, ColumnType>>;
}

/**
 * How the outputs of several hosts are merged when a verb runs on all of them:
 * - `rows`: one list, with a column for the host.
 * - `pages`: one page after the other, each under the name of its host.
 * - `events`: each line when it arrives; the failure of a host is reported at once.
 * - `streams`: stdout and stderr line by line, each with the host in front; the exit status is the first that is not 0.
 * - `silent`: only the failures of hosts are printed.
 * - `none`: the verb concerns no host.
 */
type HostsMode = "rows" | "pages" | "events" | "streams" | "silent" | "none";

/** A verb: its names, its words and options, and the function that runs it. */
export interface VerbRow {
  readonly meta: {
    readonly name: string;
    readonly description: string;
    readonly alias?: readonly string[];
    readonly hidden?: true;
    /** Whether only this program and its scripts call it, so that no shell offers it. */
    readonly internal?: true;
  };
  readonly group: "Machine" | "Image" | "Transfer";
  readonly args: Readonly<Record<string, WordRow>>;
  /** Long names of the options that the verb's usage text shows; the parser accepts all others, too. */
  readonly options?: readonly string[];
  /** The columns of the list that it prints. */
  readonly columns?: () => Promise<readonly ColumnRow[]>;
  /** Whether any number of further words is accepted and ignored. */
  readonly anyWords?: true;
  /** After this many words, all further arguments are words of the verb, also those that begin with `-`. */
  readonly wordsUntilRest?: number;
  /** Whether the verb runs when the command line names none. */
  readonly isDefault?: true;
  /**
   * With `-H`, the client on the other host is started over ssh and runs the verb, because it needs files or a terminal
   * of that host: `with-pipes` connects its standard streams by pipes, `on-terminal` gives it a terminal.
   */
  readonly runsThere?: "with-pipes" | "on-terminal";
  /** How its outputs are merged on several hosts; without this the verb accepts one host only. */
  readonly hosts?: HostsMode;
  /** Prints a notice before the number of words is checked. */
  readonly announce?: (session: Session) => void;
  /** Runs the verb with the words after it and the program that it belongs to; returns the exit status. */
  readonly run: (session: Session, words: readonly string[], program: ClientProgram) => Promise<number>;
}

/** A client program: its tables of verbs and options. */
export interface ClientProgram {
  readonly name: string;
  /** The purpose of the program in one sentence. */
  readonly abstract: string;
  /** In the order of the help text. */
  readonly groups: readonly VerbRow["group"][];
  readonly verbs: readonly VerbRow[];
  /** Loads the table of options: a command line without any is parsed without it. */
  readonly options: () => Promise<OptionTable<Settings, OptionContext>>;
}

/** Returns the names of all verbs that are not hidden, in table order; aliases follow their verb. */
export function verbNames(verbs: readonly VerbRow[]): string[] {
  return verbs.filter(({ meta }) => meta.hidden !== true).flatMap(({ meta }) => [meta.name, ...(meta.alias ?? [])]);
}

/** Returns the row of the verb with that name or alias. */
export function findVerb(verbs: readonly VerbRow[], name: string): VerbRow | undefined {
  return verbs.find(({ meta }) => meta.name === name || meta.alias?.includes(name) === true);
}

/** Returns the least and the largest number of words that a verb accepts. */
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
