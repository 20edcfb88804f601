// Parses the options of `machined install` and `machined uninstall`.
import { type OptionTable, parseOptions } from "../base/getopt.ts";
import { type HelpText, helpWidth, layOutHelp } from "../base/text/help-text.ts";
import { suggestOption } from "../base/text/suggest.ts";
import { printError, print as printText } from "../kernel/terminal/print.ts";

interface Arguments {
  /** The directory of --root=; "/" by default. */
  readonly root: string;
  /** The other options, each with its dashes. */
  readonly flags: ReadonlySet<string>;
}

interface Settings {
  root: string;
  readonly flags: Set<string>;
}

/** An invalid command line. */
class Mistake extends Error {}

function mistake(text: string): Mistake {
  return new Mistake(text);
}

/** The error for a wrong option; `unknown` is the name of one that does not exist. */
function wrongOption(options: readonly string[]) {
  return (text: string, unknown?: string): Mistake => {
    const nearest = unknown === undefined ? undefined : suggestOption(unknown, options);
    return mistake(nearest === undefined ? text : `${text}, did you mean '${nearest}'?`);
  };
}

function print(help: HelpText): void {
  printText(layOutHelp(help, helpWidth(process.stdout, process.env)));
}

function optionsOf(flags: readonly string[], help: HelpText): OptionTable<Settings, null> {
  const setRoot = (settings: Settings, directory: string) => {
    if (directory === "") throw mistake("Option --root= needs a directory");
    settings.root = directory;
  };
  const addFlag = (flag: string) => (settings: Settings) => void settings.flags.add(flag);
  return {
    help: { type: "boolean", alias: "h", apply: () => () => print(help) },
    root: { type: "string", apply: setRoot },
    ...Object.fromEntries(flags.map((flag) => [flag.slice(2), { type: "boolean", apply: addFlag(flag) }])),
  };
}

/**
 * Parses the arguments of `machined VERB`; `flags` are the options without a value, each with its dashes. Returns the
 * exit status if the program has to end, because help or an error was printed.
 */
export function parseArguments(
  verb: string,
  flags: readonly string[],
  args: readonly string[],
  help: HelpText,
): Arguments | number {
  const settings: Settings = { root: "/", flags: new Set() };
  try {
    const options = optionsOf(flags, help);
    const rules = { options, context: null, fail: wrongOption(Object.keys(options)) };
    const { words, finish } = parseOptions(args, settings, rules);
    void finish?.(words);
    if (finish !== null) return 0;
    if (words[0] !== undefined) throw mistake(`Unknown argument '${words[0]}'`);
    return settings;
  } catch (error) {
    if (!(error instanceof Mistake)) throw error;
    const see = error.message.endsWith("?") ? " See" : ", see";
    printError(`machined ${verb}: ${error.message}${see} 'machined ${verb} --help'\n`);
    return 1;
  }
}
