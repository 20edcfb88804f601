// Verbs that no person types: that of both clients which completion scripts call, and that which `doctor` calls.
import type { VerbRow } from "../command-line/verb-row.ts";

/** The hidden verb that the completion scripts call. */
export const COMPLETE_VERB: VerbRow = {
  meta: { name: "complete", description: "Print what a shell may offer at the cursor", hidden: true },
  group: "Machine",
  args: {
    kind: { type: "positional", required: true, description: "What is asked for", complete: "free" },
    word: { type: "positional", required: false, repeated: true, description: "The words before it", complete: "free" },
  },
  run: async (session, words) => (await import("./complete.ts")).complete(session, words),
};

/** The hidden verb of the child that looks at the pool for `doctor`. */
export const DOCTOR_POOL_VERB: VerbRow = {
  meta: { name: "doctor-pool", description: "Print facts about the pool", hidden: true },
  group: "Image",
  args: { path: { type: "positional", required: false, description: "Its directory", complete: "directory" } },
  run: async (session, words) => (await import("../doctor/pool.ts")).doctorPool(session, words),
};
