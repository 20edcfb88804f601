// Rows of hidden verbs, which users do not type: `complete` for completion scripts, `doctor-…` for child processes of
// `doctor`, `register-end` for that of `register`, and `run-…` for the units of `run`.
import type { VerbRow } from "../command-line/verb-row.ts";

/** The verb that the completion scripts call. */
export const COMPLETE_VERB: VerbRow = {
  meta: { name: "complete", description: "Print what a shell may offer at the cursor", hidden: true, internal: true },
  group: "Machine",
  hosts: "none",
  args: {
    kind: { type: "positional", required: true, description: "What is asked for", complete: "free" },
    word: { type: "positional", required: false, repeated: true, description: "The words before it", complete: "free" },
  },
  // The word that is completed may begin with "-".
  wordsUntilRest: 2,
  run: async (session, words, program) => (await import("./complete.ts")).complete(session, words, program),
};

/** The verb of the child process that gathers facts about the pool for `doctor`. */
export const DOCTOR_POOL_VERB: VerbRow = {
  meta: { name: "doctor-pool", description: "Print facts about the pool", hidden: true, internal: true },
  group: "Image",
  args: { path: { type: "positional", required: false, description: "Its directory", complete: "directory" } },
  run: async (session, words) => (await import("../doctor/pool.ts")).doctorPool(session, words),
};

/** The verb of the child process that looks for a machine's message bus for `doctor`. */
export const DOCTOR_BUS_VERB: VerbRow = {
  meta: { name: "doctor-bus", description: "Tell whether a machine has a bus", hidden: true, internal: true },
  group: "Machine",
  args: { leader: { type: "positional", required: true, description: "Its leader", complete: "free" } },
  run: async (session, words) => (await import("../doctor/machine-bus.ts")).doctorBus(session, words),
};

/** The verb of the process that guards the command of `register`. */
export const REGISTER_END_VERB: VerbRow = {
  meta: { name: "register-end", description: "End what 'register' has started", hidden: true, internal: true },
  group: "Machine",
  args: {
    name: { type: "positional", required: true, description: "The machine", complete: "free" },
    leader: { type: "positional", required: true, description: "Its leader", complete: "free" },
  },
  run: async (session, words) => (await import("../machine/register-guard.ts")).registerEnd(session, words),
};

/** ExecStart= of a unit of `run`. */
export const RUN_MACHINE_VERB: VerbRow = {
  meta: { name: "run-machine", description: "Run a machine in a unit of 'run'", hidden: true, internal: true },
  group: "Machine",
  args: { order: { type: "positional", required: true, description: "What to run", complete: "free" } },
  run: async (session, words) => (await import("../run/machine.ts")).runMachine(session, words),
};

/** ExecStopPost= of a unit of `run`. */
export const RUN_REMOVE_VERB: VerbRow = {
  meta: { name: "run-remove", description: "Remove what a unit of 'run' has cloned", hidden: true, internal: true },
  group: "Machine",
  args: { name: { type: "positional", required: true, description: "The machine that has ended", complete: "free" } },
  run: async (session, words) => (await import("../run/clone.ts")).runRemove(session, words),
};
