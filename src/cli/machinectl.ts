// machinectl: control and look at the machines of a host (machinectl(1)).
//
// Only what every call needs is imported here; verbs, connections and help are loaded when they run.
import { Failure } from "./failure.ts";
import { parseOptions } from "./getopt.ts";
import type { OptionContext } from "./option-values.ts";
import { OPTIONS } from "./options.ts";
import { type Ports, processPorts } from "./ports.ts";
import { Session } from "./session.ts";
import { defaultSettings } from "./settings.ts";
import { findVerb, type VerbRow, verbNames, wordLimits } from "./verb-row.ts";
import { VERBS } from "./verbs.ts";
import { versionText } from "./version.ts";

const PROGRAM = "machinectl";

/** The row of the verb that was typed; throws a Failure for an unknown verb or a wrong number of words. */
async function chooseVerb(words: readonly string[]): Promise<VerbRow> {
  const [name] = words;
  const verb = name === undefined ? VERBS.find(({ isDefault }) => isDefault) : findVerb(VERBS, name);
  if (verb === undefined) {
    const { suggest } = await import("./suggest.ts");
    const nearest = suggest(name ?? "", verbNames(VERBS));
    throw new Failure(`Unknown command verb '${name}'${nearest === undefined ? "." : `, did you mean '${nearest}'?`}`);
  }
  const { least, most } = wordLimits(verb);
  const count = Math.max(words.length - 1, 0);
  if (count < least) throw new Failure("Too few arguments.");
  if (count > most) throw new Failure("Too many arguments.");
  return verb;
}

/** What the options that act at once print. */
function optionContext(session: Session): OptionContext {
  const { output } = session;
  return {
    env: session.ports.env,
    help: async () => void (await (await import("./help.ts")).help(session, [], VERBS)),
    version: () => output.write(versionText()),
    introspection: async () => output.write((await import("./introspect.ts")).introspection(VERBS)),
    signals: (form) => async () => (await import("./signal-list.ts")).printSignals(session, form),
    lines: (lines) => () => output.write(lines.map((line) => `${line}\n`).join("")),
  };
}

async function execute(session: Session, args: readonly string[]): Promise<number> {
  const { words, finish } = parseOptions(args, session.settings, {
    program: PROGRAM,
    options: OPTIONS,
    context: optionContext(session),
    wordsUntilRest: (verb) => findVerb(VERBS, verb)?.wordsUntilRest,
  });
  if (finish !== null) {
    await finish();
    return 0;
  }
  const verb = await chooseVerb(words);
  return verb.run(session, words.slice(1), VERBS);
}

/** Runs machinectl with its arguments in the given surroundings; gives the exit status. */
export async function runMachinectl(args: readonly string[], ports: Ports): Promise<number> {
  const session = new Session(defaultSettings(), ports);
  let status: number;
  try {
    status = await execute(session, args);
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    for (const line of error.message.split("\n")) session.report.error(line);
    status = 1;
  }
  await session.close();
  return status;
}

/** Entry point: the arguments after the program's name; gives the exit status. */
export function main(args: string[]): Promise<number> {
  return runMachinectl(args, processPorts());
}
