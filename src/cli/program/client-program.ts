// The common part of machinectl and importctl: parses the arguments, runs the verb, and returns the exit status.
//
// Only modules that every call needs are imported statically; those of verbs, connections and help are imported when
// they run.

import { ErrnoError } from "../../base/error.ts";
import { parseOptions } from "../command-line/getopt.ts";
import type { OptionContext } from "../command-line/option-values.ts";
import {
  type ClientProgram,
  findVerb,
  type VerbRow,
  verbNames,
  wordLimits,
  wordsUsage,
} from "../command-line/verb-row.ts";
import { Failure, failureOf } from "../session/failure.ts";
import type { Ports } from "../session/ports.ts";
import { Session } from "../session/session.ts";
import { defaultSettings } from "../session/settings.ts";

/** Returns the row of the verb on the command line. Throws a Failure for an unknown verb or a wrong number of words. */
async function chooseVerb(session: Session, program: ClientProgram, words: readonly string[]): Promise<VerbRow> {
  const { verbs } = program;
  const [name] = words;
  const verb = name === undefined ? verbs.find(({ isDefault }) => isDefault) : findVerb(verbs, name);
  if (verb === undefined) {
    const { suggest } = await import("../../base/text/suggest.ts");
    const { synonymOf } = await import("../command-line/synonyms.ts");
    const typed = (name ?? "").toLowerCase();
    const nearest = synonymOf(typed, program.name) ?? suggest(typed, [...verbNames(verbs), "help"]);
    throw new Failure(`Unknown command verb '${name}'${nearest === undefined ? "." : `, did you mean '${nearest}'?`}`);
  }
  verb.announce?.(session);
  const { least, most } = wordLimits(verb);
  const count = Math.max(words.length - 1, 0);
  const usage = wordsUsage(verb, session.terminal.glyphs.ellipsis);
  const hint = `Usage: ${program.name} ${verb.meta.name} ${usage}`.trimEnd();
  if (count < least) throw new Failure("Too few arguments.", { hint });
  if (count > most) throw new Failure("Too many arguments.", { hint });
  return verb;
}

/** Returns the context for options: the environment, and the functions of options that print something and exit. */
function optionContext(session: Session, program: ClientProgram): OptionContext {
  const { output } = session;
  return {
    env: session.ports.env,
    stdoutIsTty: session.terminal.stdoutIsTty,
    help: async (words) => void (await (await import("./help.ts")).help(session, words, program)),
    version: async () => output.write((await import("./version.ts")).versionText()),
    introspection: async () => output.write(await (await import("./introspect.ts")).introspection(program)),
    signals: (form) => async () => (await import("../machine/signal-list.ts")).printSignals(session, form),
    lines: (lines) => () => output.write(lines.map((line) => `${line}\n`).join("")),
  };
}

/** Parses the arguments and runs the verb: here, on another host, on several hosts or on the fleet. */
async function execute(session: Session, program: ClientProgram, args: readonly string[]): Promise<number> {
  const { words, given, finish } = parseOptions(args, session.settings, {
    program: program.name,
    options: args.some((arg) => arg.startsWith("-")) ? await program.options() : {},
    context: optionContext(session, program),
    wordsUntilRest: (verb) => findVerb(program.verbs, verb)?.wordsUntilRest,
  });
  if (finish !== null) {
    await finish(words);
    return 0;
  }
  const verb = await chooseVerb(session, program, words);
  const { transport, list, fleet } = session.settings;
  if (fleet !== null) {
    const { runOnFleet } = await import("../fleet/run.ts");
    return runOnFleet(session, program, verb, words.slice(1));
  }
  // `--columns=help` prints the same on all hosts.
  const isLocal = verb.hosts === "none" || list.columns === "help" || transport.kind !== "remote";
  if (!isLocal && /^@|,/.test(transport.host)) {
    const { runOnHosts } = await import("../hosts/run.ts");
    const order = { program, verb, words: words.slice(1), options: given };
    return runOnHosts(session, order, transport.host);
  }
  if (verb.runsThere !== undefined && transport.kind === "remote") {
    const { runThere } = await import("../exec/there.ts");
    const isOnTerminal = verb.runsThere === "on-terminal";
    const line = [verb.meta.name, ...words.slice(1)];
    return runThere(session, { program: program.name, options: given, words: line, isOnTerminal });
  }
  return verb.run(session, words.slice(1), program);
}

/**
 * Runs a client; `args` are the arguments after the program's name. Prints a Failure, and returns the exit status,
 * which is no success where the output was lost.
 */
export async function runClient(program: ClientProgram, args: readonly string[], ports: Ports): Promise<number> {
  const session = new Session(defaultSettings(), ports);
  let status: number;
  let hasFailed = false;
  try {
    status = await execute(session, program, args);
  } catch (error) {
    const isLate = error instanceof ErrnoError && error.errnoName === "ETIMEDOUT";
    // A service that is silent can be met by any call, also by one whose verb expects no error.
    const failure = isLate ? error : failureOf(error);
    if (failure === null) throw error;
    session.report.failure(failure);
    status = 1;
    hasFailed = true;
  }
  await session.close();
  const { failure } = session.output;
  if (failure === null || hasFailed) return status;
  const { errnoText } = await import("../../base/errno.ts");
  session.report.error(`Failed to write output: ${errnoText(failure)}`);
  return status === 0 ? 1 : status;
}
