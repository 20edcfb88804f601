// The common part of all transfer workers: verbs, help, signals, the last lines of the log and the exit code.

import { errnoText } from "../../base/errno.ts";
import { ErrnoError, errnoNameOf, firstError, MachinedError } from "../../base/error.ts";
import { helpWidth, layOutHelp } from "../../base/text/help-text.ts";
import { versionText } from "../../kernel/process/host-systemd.ts";
import { isTerminal } from "../../kernel/terminal/is-terminal.ts";
import { print } from "../../kernel/terminal/print.ts";
import { abandonAll, canGoOnLater, keepForLater } from "../program/abandon.ts";
import { parseCommandLine } from "../program/command-line.ts";
import { optionEntries } from "../program/help.ts";
import { log } from "../program/log.ts";
import type { CommandLine, ProgramName } from "../program/options.ts";

interface Verb {
  /** The minimum and maximum number of words after the verb. */
  readonly words: readonly [least: number, most: number];
  readonly usage: string;
  readonly help: string;
  readonly run: (line: CommandLine) => Promise<void>;
}

interface WorkerProgram {
  readonly name: ProgramName;
  readonly summary: string;
  readonly verbs: Readonly<Record<string, Verb>>;
}

/** The column in `--help` in which the meanings of commands and options begin. */
const MEANING_COLUMN = 32;
const ABORTED = 4; // EINTR
const FAILED = 1;

/** Returns the entry point of a worker program, which returns the exit code. */
export function entryOf(program: WorkerProgram): (args: string[]) => Promise<number> {
  return (args) => runProgram(program, args);
}

async function runProgram(program: WorkerProgram, args: readonly string[]): Promise<number> {
  const line = parseCommandLine(program.name, args);
  if (line === null) return FAILED;
  if (line === "help") return say(helpText(program));
  if (line === "version") return say(versionText());
  const [name, ...words] = line.words;
  if (name === "help") return say(helpText(program));
  const verb = name !== undefined && Object.hasOwn(program.verbs, name) ? program.verbs[name] : undefined;
  if (verb === undefined)
    return fail(name === undefined ? "Command verb required." : `Unknown command verb '${name}'.`);
  const usage = `Usage: ${program.name} ${name} ${verb.usage}`;
  if (words.length < verb.words[0]) return fail("Too few arguments.", usage);
  if (words.length > verb.words[1]) return fail("Too many arguments.", usage);
  return work(verb, { ...line, words });
}

async function work(verb: Verb, line: CommandLine): Promise<number> {
  process.umask(0o022);
  process.on("SIGTERM", () => abort());
  process.on("SIGINT", () => void interrupt());
  try {
    await verb.run(line);
    log("info", "Operation completed successfully.");
    return finish(0);
  } catch (error) {
    log("err", describe(firstError(error)));
    return finish(FAILED);
  }
}

const OWN_WAY = /^\/proc\/self\/fd\/\d+\//;

function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { code, syscall, path } = error as NodeJS.ErrnoException;
  // An error of the engine. Paths below /proc/self/fd are valid in this process only, and are shortened.
  if (code !== undefined && syscall !== undefined && !(error instanceof ErrnoError)) {
    const object = path === undefined ? "" : ` '${path.replace(OWN_WAY, "")}'`;
    return `Failed to ${syscall}${object}: ${errnoText(code)}`;
  }
  // An error without an errno is a bug of this program: the stack is logged with it.
  const isKnown = error instanceof MachinedError || errnoNameOf(error) !== null || code !== undefined;
  return isKnown ? error.message : (error.stack ?? error.message);
}

function finish(code: number): number {
  log("info", "Exiting.");
  return code;
}

/** How many turns of the event loop SIGINT waits, so that received data is written before the end. */
const LAST_TURNS = 5;
const TURN_MS = 20;

/** SIGTERM discards partial data. SIGINT (^C, or a daemon that ends) keeps it: a later call resumes it. */
async function interrupt(): Promise<never> {
  for (let turn = 0; canGoOnLater() && turn < LAST_TURNS; turn++) await Bun.sleep(TURN_MS);
  keepForLater();
  abort();
}

/** Removes unfinished work and ends the process at once, so that nothing new is made after the clean-up. */
function abort(): never {
  try {
    log("notice", "Transfer aborted.");
    abandonAll();
  } finally {
    process.exit(finish(ABORTED));
  }
}

/** Logs an error and, on a terminal, a hint: programs that read the log match a single line. */
function fail(text: string, hint: string | null = null): number {
  log("err", text);
  if (hint !== null && isTerminal(2)) log("info", hint);
  return FAILED;
}

function say(text: string): number {
  print(text);
  return 0;
}

function helpText({ name, summary, verbs }: WorkerProgram): string {
  const commands = Object.entries(verbs).map(([verb, { usage, help }]) => [`${verb} ${usage}`, help] as const);
  const text = {
    usage: `${name} [OPTIONS...] {COMMAND} ...`,
    about: [summary],
    sections: [
      { title: "Commands", entries: commands },
      { title: "Options", entries: optionEntries(name) },
    ],
    column: MEANING_COLUMN,
  };
  return layOutHelp(text, helpWidth(process.stdout, process.env));
}
