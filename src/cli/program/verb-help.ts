// `VERB --help`: the page of one verb, made from its row.
import { type ArgsDef, type CommandDef, defineCommand } from "citty";
import { COMPRESSIONS } from "../../base/vocabulary/compression.ts";
import { OUTPUT_MODES } from "../../base/vocabulary/output-mode.ts";
import { type ClientProgram, type VerbRow, wordsUsage } from "../command-line/verb-row.ts";
import type { Session } from "../session/session.ts";
import { HelpPage, optionTerm } from "./help-page.ts";

interface VerbCommand extends CommandDef {
  readonly meta: { readonly name: string; readonly description: string; readonly alias: string[] };
  readonly args: ArgsDef;
}

const COMMAND = { uid: "The user to run the command as", setenv: "Set an environment variable of the command" };

const LIST_OUTPUT = "Print the list as JSON: json or json-pretty; other forms are for the journal in 'status'";
const JOURNAL_OUTPUT = `Form of journal entries (${OUTPUT_MODES.join(", ")})`;
const EXPORT_FORMAT = `Compression: ${[...COMPRESSIONS.values()].join(", ")}; otherwise by the suffix of the file`;
const IMAGE = { "read-only": "Make the image read-only", force: "Replace an existing image of the name" };

/** Descriptions of options by verb, where the general description does not fit. */
const MEANINGS: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  events: {
    lines: "Begin with the last events of the log, this many of them",
    full: "Do not break lines that are too long for the terminal",
    json: "Print each event as JSON: pretty, short or off",
    columns: "The columns to print, in place of a line for people; 'help' explains them",
    filter: "Print only events whose column matches",
    template: "A line for each event, with values for {{KEY}}",
  },
  status: { lines: "How many journal entries to print", output: JOURNAL_OUTPUT },
  logs: {
    lines: "How many journal entries to print",
    output: JOURNAL_OUTPUT,
    json: "Print each entry as JSON: pretty, short or off",
    all: "Show long and unprintable fields in full",
  },
  stats: {
    json: "Print numbers as JSON: pretty, short or off",
    all: "Include hidden machines",
    full: "Print all columns, also where the terminal is too narrow for them",
  },
  top: { all: "Include hidden machines" },
  list: { all: "Include hidden machines", output: LIST_OUTPUT },
  show: { all: "Include empty properties" },
  "show-image": { all: "Include empty properties" },
  "list-images": { all: "Include hidden images", output: LIST_OUTPUT },
  clean: {
    all: "Remove all images, not only the hidden ones",
    json: "Print what was removed as JSON: pretty, short or off",
  },
  doctor: { json: "Print the findings as JSON: pretty, short or off", quiet: "Print only what is wrong" },
  exec: { ...COMMAND, timeout: "End the command after this time; the exit status is 124" },
  run: { ...COMMAND, timeout: "End the command, and with it the machine, after this time; the exit status is 124" },
  bind: { "read-only": "Make the bind mount read-only" },
  clone: { "read-only": "Make the clone read-only" },
  "export-tar": { format: EXPORT_FORMAT },
  "export-raw": { format: EXPORT_FORMAT },
  "push-oci": { format: "Compression of layers: gzip or zstd" },
  "pull-tar": IMAGE,
  "pull-raw": IMAGE,
  "pull-oci": IMAGE,
  "import-tar": IMAGE,
  "import-raw": IMAGE,
  "import-fs": IMAGE,
  wait: { timeout: "Give up after this time; the exit status is 124" },
};

/** What an option means for every verb whose row says nothing else. */
const USUAL_MEANINGS: Readonly<Record<string, string>> = { json: "Print the output as JSON: pretty, short or off" };

const MOST_VALUES = 12;

/**
 * Returns the text of an option on the page of a verb: its description without `With VERB:`, and its values if they are
 * few.
 */
function meaningOf(
  verb: VerbRow,
  key: string,
  row: { readonly description?: string; readonly values?: unknown },
): string {
  const { description = "", values } = row;
  const given = MEANINGS[verb.meta.name]?.[key] ?? USUAL_MEANINGS[key];
  if (given !== undefined) return given;
  const own = description.replace(/^With [a-z, -]+: (.)/, (_all, first: string) => first.toUpperCase());
  const isShort = Array.isArray(values) && values.length <= MOST_VALUES;
  const isNamed = isShort && own.toLowerCase().includes(String(values[0]));
  return isShort && !isNamed ? `${own} (${values.join(", ")})` : own;
}

/** Returns a verb as a citty command: positional arguments for its words, and the options that its row names. */
async function verbCommand({ options }: ClientProgram, verb: VerbRow): Promise<VerbCommand> {
  const { name, description, alias = [] } = verb.meta;
  const meta = { name, description, alias: [...alias] };
  const own = Object.entries(await options()).filter(([key]) => verb.options?.includes(key) === true);
  const args: ArgsDef = { ...verb.args, ...Object.fromEntries(own) };
  return { ...defineCommand({ meta, args }), meta, args };
}

/** Returns a word of the verb as in the usage line: `NAME…`. */
function wordTerm(name: string, verb: VerbRow, ellipsis: string): string {
  return name.toUpperCase() + (verb.args[name]?.repeated === true ? ellipsis : "");
}

/** Returns the columns of the verb's list; those that are not shown by default have a `*`. */
async function columnEntries({ columns }: VerbRow): Promise<(readonly [string, string])[]> {
  return ((await columns?.()) ?? []).map((column) => {
    const names = [column.key, ...(column.aliases ?? [])].join(", ");
    return [column.isUsual === true ? names : `${names} *`, column.description] as const;
  });
}

/** Returns the help page of a verb. */
export async function verbHelp(session: Session, program: ClientProgram, verb: VerbRow): Promise<string> {
  const page = new HelpPage(session);
  const { ellipsis } = session.terminal.glyphs;
  const { meta, args } = await verbCommand(program, verb);
  const rows = Object.entries(args);
  const words = rows.filter(([, { type }]) => type === "positional");
  const options = rows.filter(([, { type }]) => type !== "positional");
  const usage = `${program.name} ${meta.name} [OPTION${ellipsis}] ${wordsUsage(verb, ellipsis)}`.trimEnd();
  return [
    page.top(usage, `${meta.description}.`),
    meta.alias.length === 0 ? "" : page.paragraph(`The same command: ${meta.alias.join(", ")}.`),
    page.section(
      "Arguments",
      words.map(([name, { description = "" }]) => [wordTerm(name, verb, ellipsis), description]),
    ),
    page.section(
      "Options",
      options.map(([key, row]) => [optionTerm(key, row), meaningOf(verb, key, row)]),
    ),
    page.section("Columns (* not shown unless asked for)", await columnEntries(verb)),
    page.paragraph(`Options of all commands: ${program.name} --help.`),
    page.manual(program.name),
  ].join("");
}
