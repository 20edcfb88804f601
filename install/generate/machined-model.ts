// The words that are completed after `machined`: its programs, and the options and words of its own verbs.
import type { HelpText } from "../../src/base/text/help-text.ts";
import { OPTIONS } from "../../src/cli/program/options.ts";
import { VERBS } from "../../src/cli/program/verbs.ts";
import { SCOPES } from "../../src/fleet/names.ts";
import { FLEET_OPTIONS } from "../../src/fleetd/options.ts";
import { PROGRAMS } from "../../src/programs.ts";
import { INSTALL_HELP, UNINSTALL_HELP } from "../../src/setup/help.ts";

/** The candidates for a value or a word: a list, paths, machines, or none. */
type Values = readonly string[] | "file" | "directory" | "machine" | null;

export interface OwnOption {
  /** `-h`, `--help`. */
  readonly names: readonly string[];
  readonly takesValue: boolean;
  readonly values: Values;
  readonly description: string;
}

/** A verb of `machined` with its options and words. */
export interface OwnVerb {
  readonly name: string;
  readonly description: string;
  readonly options: readonly OwnOption[];
  readonly words: Values;
}

const PATHS: Readonly<Record<string, Values>> = { FILE: "file", DIR: "directory", "SCOPE,…": SCOPES };
const HELP: OwnOption = { names: ["-h", "--help"], takesValue: false, values: null, description: "Print the help" };

/** Returns the options of a help text, whose terms are `--now`, `--root=DIR`, `-h --help`. */
function optionsOfHelp({ sections = [] }: HelpText): OwnOption[] {
  return sections.flatMap(({ entries }) =>
    entries.map(([term, meaning]) => {
      const [, hint = ""] = term.split("=");
      const names = term.replace(/=.*/, "").split(" ");
      const [description = ""] = meaning.split(/[;:]/);
      return { names, takesValue: hint !== "", values: PATHS[hint] ?? null, description };
    }),
  );
}

function fleetOptions(): OwnOption[] {
  return Object.entries(FLEET_OPTIONS).map(([name, { alias, valueHint = "", description }]) => ({
    names: [...(alias === undefined ? [] : [`-${alias}`]), `--${name}`],
    takesValue: valueHint !== "",
    values: PATHS[valueHint] ?? null,
    description,
  }));
}

function doctorOptions(): OwnOption[] {
  const keys = VERBS.find(({ meta }) => meta.name === "doctor")?.options ?? [];
  return keys.map((key) => {
    const row = OPTIONS[key];
    if (row === undefined) throw new Error(`'doctor' has an option '${key}', which no table has`);
    const names = [...(row.alias === undefined ? [] : [`-${row.alias}`]), `--${key}`];
    const values = Array.isArray(row.values) ? row.values : null;
    return { names, takesValue: row.type === "string", values, description: row.description ?? "" };
  });
}

/** The programs that users and service managers call, with their summaries. */
const CALLED: readonly (readonly [name: string, summary: string])[] = Object.entries(PROGRAMS)
  .filter(([, { kind }]) => kind !== "internal")
  .map(([name, { summary }]) => [name, summary]);

const MORE: Readonly<Record<string, Pick<OwnVerb, "options" | "words">>> = {
  install: { options: optionsOfHelp(INSTALL_HELP), words: null },
  uninstall: { options: optionsOfHelp(UNINSTALL_HELP), words: null },
  doctor: { options: [HELP, ...doctorOptions()], words: "machine" },
  bridge: { options: [HELP], words: null },
  fleet: { options: fleetOptions(), words: ["setup"] },
};

/** Returns the verbs of `machined`, and `help`, which takes a program. Throws for a verb without a model here. */
export function ownVerbs(): OwnVerb[] {
  const verbs = Object.entries(PROGRAMS).filter(([, { kind }]) => kind === "verb");
  const rows = verbs.map(([name, { summary }]): OwnVerb => {
    const more = MORE[name];
    if (more === undefined)
      throw new Error(`'machined ${name}' has no completion: add its options and words to machined-model.ts`);
    return { name, description: summary, ...more };
  });
  const help = {
    name: "help",
    description: "Print the help of a program",
    options: [],
    words: CALLED.map(([name]) => name),
  };
  return [...rows, help];
}

/** Returns the words that can follow `machined`, with descriptions. */
export function firstWords(): [name: string, description: string][] {
  const { name, description } = ownVerbs().at(-1) as OwnVerb;
  return [...CALLED.map(([one, summary]): [string, string] => [one, summary]), [name, description]];
}
