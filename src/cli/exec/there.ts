// `-H` for verbs that the client of the other host runs: what they read, or the terminal that they open, is there alone.
import type { GivenOption } from "../../base/getopt.ts";
import type { Session } from "../session/session.ts";
import { clientOnHost } from "./ssh.ts";

/** Options that say where the verb runs, and how this client shows it. */
const OWN_OPTIONS = ["host", "machine", "batch", "parallel", "no-pager"];

/** A command line for the client of the other host. */
interface OrderThere {
  readonly program: string;
  readonly options: readonly GivenOption[];
  /** The verb, and what follows it. */
  readonly words: readonly string[];
  /** Whether it has our terminal, where there is one. */
  readonly isOnTerminal: boolean;
}

/**
 * Runs the command line on the host that -H names; returns its exit status. Words that look like options belong to a program
 * of that host: the clients, also the original ones, read none behind its name.
 */
export function runThere(session: Session, { program, options, words, isOnTerminal }: OrderThere): Promise<number> {
  session.settings.tty = isOnTerminal && session.ports.isTty(0);
  const passed = options.filter(({ name }) => !OWN_OPTIONS.includes(name)).flatMap(({ args }) => args);
  return clientOnHost(session, [program, ...passed, ...words]);
}
