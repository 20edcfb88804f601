// Reads the command lines of the transfer workers.
import * as getopt from "../../base/getopt.ts";
import { lockDirectoryOf } from "./lock-directory.ts";
import { log } from "./log.ts";
import {
  type CommandLine,
  defaultOptions,
  OPTIONS,
  type OptionRow,
  type ProgramName,
  type WorkerOptions,
} from "./options.ts";

class Mistake extends Error {}

function mistake(text: string): Mistake {
  return new Mistake(text);
}

/** Returns the options of a program for the parser; `print` is called for those that only print something. */
function parserRows(
  program: ProgramName,
  print: (what: "help" | "version") => void,
): getopt.OptionTable<WorkerOptions, null> {
  const rows = Object.entries(OPTIONS).filter(([, { programs }]) => programs.includes(program));
  const printing = (what: "help" | "version") => () => () => print(what);
  return {
    help: { type: "boolean", alias: "h", apply: printing("help") },
    version: { type: "boolean", apply: printing("version") },
    ...Object.fromEntries(rows.map(([name, row]) => [name, parserRow(name, row)])),
  };
}

function parserRow(name: string, row: OptionRow): getopt.OptionRow<WorkerOptions, null> {
  return {
    type: row.value === undefined ? "boolean" : "string",
    apply: (options, value) => {
      if (!row.take(options, value)) throw mistake(`Failed to parse --${name}= argument: ${value}`);
    },
  };
}

/** Reads a command line; returns null, with a logged reason, when it is not valid. Options and words may be mixed. */
export function parseCommandLine(
  program: ProgramName,
  args: readonly string[],
): CommandLine | "help" | "version" | null {
  const options = defaultOptions();
  let printed: "help" | "version" | null = null;
  const rows = parserRows(program, (what) => {
    printed = what;
  });
  try {
    const { words, finish } = getopt.parseOptions(args, options, { options: rows, context: null, fail: mistake });
    void finish?.(words);
    return printed ?? checked({ options, words });
  } catch (error) {
    if (!(error instanceof Mistake)) throw error;
    log("err", error.message);
    return null;
  }
}

/** Checks options that depend on each other. */
function checked(line: CommandLine): CommandLine {
  const { options } = line;
  const isPlaced = options.offset !== null || options.sizeMax !== null;
  if (isPlaced && !options.direct) {
    throw mistake("File offset and maximum size is only supported in direct mode.");
  }
  if (options.offset !== null && !Number.isSafeInteger(options.offset + (options.sizeMax ?? 0))) {
    throw mistake("File offset and maximum size out of range.");
  }
  if (!options.rootHash) options.rootHashSignature = false;
  options.locks = lockDirectoryOf(options.scope);
  return line;
}
