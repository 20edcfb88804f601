// The options of `machined install` and `machined uninstall`.
import { type OptionTable, parseOptions } from "../base/getopt.ts";
import { type HelpText, helpWidth, layOutHelp } from "../base/help-text.ts";

interface Arguments {
  readonly root: string;
  readonly flags: ReadonlySet<string>;
}

interface Settings {
  root: string;
  readonly flags: Set<string>;
}

class Mistake extends Error {}

function mistake(text: string): Mistake {
  return new Mistake(text);
}

function print(help: HelpText): void {
  process.stdout.write(layOutHelp(help, helpWidth(process.stdout, process.env)));
}

function optionsOf(flags: readonly string[], help: HelpText): OptionTable<Settings, null> {
  const setRoot = (settings: Settings, directory: string) => {
    if (directory === "") throw mistake("--root needs a directory");
    settings.root = directory;
  };
  const addFlag = (flag: string) => (settings: Settings) => void settings.flags.add(flag);
  return {
    help: { type: "boolean", alias: "h", apply: () => () => print(help) },
    root: { type: "string", apply: setRoot },
    ...Object.fromEntries(flags.map((flag) => [flag.slice(2), { type: "boolean", apply: addFlag(flag) }])),
  };
}

/** Returns the options, or the exit code where the call has ended: help was printed, or a mistake was reported. */
export function parseArguments(
  verb: string,
  flags: readonly string[],
  args: readonly string[],
  help: HelpText,
): Arguments | number {
  const settings: Settings = { root: "/", flags: new Set() };
  try {
    const rules = { options: optionsOf(flags, help), context: null, fail: mistake };
    const { words, finish } = parseOptions(args, settings, rules);
    void finish?.(words);
    if (finish !== null) return 0;
    if (words[0] !== undefined) throw mistake(`Unknown argument '${words[0]}'`);
    return settings;
  } catch (error) {
    if (!(error instanceof Mistake)) throw error;
    process.stderr.write(`machined ${verb}: ${error.message}, see 'machined ${verb} --help'\n`);
    return 1;
  }
}
