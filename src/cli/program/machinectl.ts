// machinectl: lists and controls the machines of a host (machinectl(1)).

import type { ClientProgram } from "../command-line/verb-row.ts";
import type { Ports } from "../session/ports.ts";
import { processPorts } from "../session/process-ports.ts";
import { runClient } from "./client-program.ts";
import { VERBS } from "./verbs.ts";

/** The tables of machinectl. */
export const MACHINECTL: ClientProgram = {
  name: "machinectl",
  abstract: "Look at the virtual machines and containers of a host, and control them.",
  groups: ["Machine", "Image"],
  verbs: VERBS,
  options: async () => (await import("./options.ts")).OPTIONS,
};

/** Runs machinectl; `args` are the arguments after the program's name. Returns the exit status. */
export function runMachinectl(args: readonly string[], ports: Ports): Promise<number> {
  return runClient(MACHINECTL, args, ports);
}

/** The entry point of the program. */
export async function main(args: string[]): Promise<number> {
  return runMachinectl(args, processPorts());
}
