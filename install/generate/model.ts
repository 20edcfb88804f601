// Converts the tables of a client's verbs and options to a form for generated files: completions, manual pages, README.

import type { OptionValueKind } from "../../src/cli/command-line/getopt.ts";
import type { ClientProgram } from "../../src/cli/command-line/verb-row.ts";
import {
  type ColumnRow,
  type VerbRow,
  verbNames,
  type WordKind,
  wordsUsage,
} from "../../src/cli/command-line/verb-row.ts";

/** The first line of each generated file. */
export const NOTICE = "Generated from the tables of verbs and options by `npm run docs`; do not edit.";

/** An option. */
export interface OptionModel {
  /** `-h`, `--help`: short form first. */
  readonly names: readonly string[];
  readonly takesValue: boolean;
  /** Whether the option also stands without its value; `takesValue` is false then. */
  readonly isValueOptional?: boolean;
  /** The placeholder of the value: `NAME`. */
  readonly hint: string;
  readonly values: readonly string[] | OptionValueKind | null;
  readonly description: string;
}

/** A verb. */
export interface VerbModel {
  /** The name and its aliases. */
  readonly names: readonly string[];
  readonly description: string;
  readonly hidden: boolean;
  /** The heading under which it is listed. */
  readonly group: VerbRow["group"];
  /** `NAME PATH [PATH]`. */
  readonly usage: string;
  /** The options of its usage text, with dashes. */
  readonly options: readonly string[];
  /** The columns of the list that it prints; none for a verb that prints no list. */
  readonly columns: readonly ColumnRow[];
  readonly words: readonly WordKind[];
  /** Whether the last word may be repeated. */
  readonly repeats: boolean;
  /** After how many words options end. */
  readonly wordsUntilRest: number | null;
}

/** A client. */
export interface ProgramModel {
  readonly name: string;
  /** The purpose of the program, without a full stop. */
  readonly abstract: string;
  readonly options: readonly OptionModel[];
  readonly verbs: readonly VerbModel[];
  /** The names of all verbs that are not hidden, with aliases. */
  readonly verbNames: readonly string[];
}

/** Whether the value of an option is several of its words with commas between them. */
export function takesList({ hint, values }: Pick<OptionModel, "hint" | "values">): boolean {
  return Array.isArray(values) && hint.endsWith(",…");
}

function spelledOption(key: string): string {
  return key.length === 1 ? `-${key}` : `--${key}`;
}

async function verbModel(row: VerbRow): Promise<VerbModel> {
  const words = Object.values(row.args);
  return {
    names: [row.meta.name, ...(row.meta.alias ?? [])],
    description: row.meta.description,
    hidden: row.meta.hidden === true,
    group: row.group,
    usage: wordsUsage(row, "…"),
    options: (row.options ?? []).map(spelledOption),
    columns: (await row.columns?.()) ?? [],
    words: words.map(({ complete }) => complete),
    repeats: words.at(-1)?.repeated === true,
    wordsUntilRest: row.wordsUntilRest ?? null,
  };
}

/** Converts the tables of a client. Hidden options and internal verbs are left out; hidden verbs are marked. */
export async function programModel(program: ClientProgram): Promise<ProgramModel> {
  const shown = Object.entries(await program.options()).filter(([, row]) => row.hidden !== true);
  return {
    name: program.name,
    abstract: program.abstract.replace(/\.$/, ""),
    options: shown.map(([key, row]) => ({
      names: [...(row.alias === undefined ? [] : [`-${row.alias}`]), spelledOption(key)],
      // An option with an optional value is completed as one without a value.
      takesValue: row.type === "string" && row.isValueOptional !== true,
      isValueOptional: row.isValueOptional === true,
      hint: row.valueHint ?? "",
      values: row.values ?? null,
      description: row.description ?? "",
    })),
    verbs: await Promise.all(program.verbs.filter(({ meta }) => meta.internal !== true).map(verbModel)),
    verbNames: verbNames(program.verbs),
  };
}

/**
 * Options that select the host, the daemon or the class of images. The scripts pass them to the client to get
 * candidates.
 */
const SCOPE_OPTIONS = ["--user", "--system", "--host", "--machine", "--class", "-m", "-P", "-S", "-C"];

/** Returns those SCOPE_OPTIONS that a client has. */
export function scopeOptions({ name, options }: ProgramModel): OptionModel[] {
  // -P is --property of machinectl and --class=portable of importctl.
  const wanted = name === "machinectl" ? SCOPE_OPTIONS.filter((option) => option !== "-P") : SCOPE_OPTIONS;
  return options.filter(({ names }) => names.some((option) => wanted.includes(option)));
}

/** The kind of word at one position of a verb. */
export interface WordPlace {
  readonly verbs: readonly string[];
  /** The position after the verb, counted from 0. */
  readonly position: number;
  /** Whether the kind is the same at all later positions. */
  readonly andLater: boolean;
  readonly kind: WordKind;
}

/** Returns the positions of all words that a shell can complete, in the order of the table. */
export function wordPlaces(program: ProgramModel): WordPlace[] {
  return program.verbs.flatMap(({ names, words, repeats }) =>
    words.flatMap((kind, position) => {
      const andLater = repeats && position === words.length - 1;
      return kind === "free" ? [] : [{ verbs: names, position, andLater, kind }];
    }),
  );
}
