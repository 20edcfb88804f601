// The hidden verb of both clients that completion scripts call.
import type { VerbRow } from "../command-line/verb-row.ts";

/** The hidden verb that the completion scripts call. */
export const COMPLETE_VERB: VerbRow = {
  meta: { name: "complete", description: "Print what a shell may offer at the cursor", hidden: true },
  group: "Machine",
  args: {
    kind: { type: "positional", required: true, description: "What is asked for", complete: "free" },
    word: { type: "positional", required: false, repeated: true, description: "The words before it", complete: "free" },
  },
  // What is typed so far may look like an option.
  wordsUntilRest: 2,
  run: async (session, words, program) => (await import("./complete.ts")).complete(session, words, program),
};
