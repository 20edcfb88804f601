// `-H` for verbs that need files or a terminal of the other host: the client on that host is started over ssh to run
// them.
import type { GivenOption } from "../../base/getopt.ts";
import type { Session } from "../session/session.ts";
import { clientOnHost } from "./ssh.ts";

/** Options that are not passed on as they are: they select the host, or have their meaning from this process. */
const OWN_OPTIONS = ["host", "machine", "batch", "parallel", "no-pager", "setenv"];

/** A command line for the client of the other host. */
interface OrderThere {
  readonly program: string;
  readonly options: readonly GivenOption[];
  /** The verb and the words after it. */
  readonly words: readonly string[];
  /** Whether the client on the other host runs on a terminal, if standard input is one. */
  readonly isOnTerminal: boolean;
}

/**
 * Runs the command line on the host that -H names; returns its exit status. Words that look like options need no "--":
 * they are arguments of a program in a machine, after whose name the clients, also the original ones, parse no
 * options.
 */
export function runThere(session: Session, { program, options, words, isOnTerminal }: OrderThere): Promise<number> {
  session.settings.tty = isOnTerminal && session.ports.isTty(0);
  // A variable without a value has that of this process, as without -H.
  const environment = session.settings.environment.map((assignment) => `--setenv=${assignment}`);
  const passed = options.filter(({ name }) => !OWN_OPTIONS.includes(name)).flatMap(({ args }) => args);
  // The original clients have the verbs that need a terminal.
  const own = isOnTerminal ? null : { program, verb: String(words[0]) };
  return clientOnHost(session, [program, ...passed, ...environment, ...words], own);
}
