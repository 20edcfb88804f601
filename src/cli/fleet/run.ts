// `--fleet`: a verb on the hosts behind a NATS server.
import type { ClientProgram, VerbRow } from "../command-line/verb-row.ts";
import { Failure } from "../session/failure.ts";
import type { Session } from "../session/session.ts";

type FleetVerb = (session: Session, words: readonly string[], verb: VerbRow) => Promise<number>;

function lifecycle(session: Session, words: readonly string[], { meta }: VerbRow): Promise<number> {
  return import("./asked.ts").then((asked) => asked.lifecycle(session, meta.name, words));
}

/** The verbs that work on the fleet. */
const FLEET_VERBS: Readonly<Record<string, FleetVerb>> = {
  list: async (session) => (await import("./list.ts")).list(session),
  status: async (session, words, verb) => (await import("./asked.ts")).status(session, verb, words),
  stats: async (session, words) => (await import("./stats.ts")).stats(session, words),
  events: async (session, words) => (await import("./events.ts")).events(session, words),
  wait: async (session, words) => (await import("./wait.ts")).wait(session, words),
  inventory: async (session, words) => (await import("./inventory.ts")).inventory(session, words),
  exec: async (session, words) => (await import("./exec.ts")).exec(session, words),
  start: lifecycle,
  poweroff: lifecycle,
  reboot: lifecycle,
  terminate: lifecycle,
};

/** The names of these verbs. */
const FLEET_VERB_NAMES = Object.keys(FLEET_VERBS);

/** Runs a verb on the fleet; returns the exit status. */
export async function runOnFleet(
  session: Session,
  { name }: ClientProgram,
  verb: VerbRow,
  words: readonly string[],
): Promise<number> {
  const run = Object.hasOwn(FLEET_VERBS, verb.meta.name) ? FLEET_VERBS[verb.meta.name] : undefined;
  if (name !== "machinectl" || run === undefined) {
    throw new Failure(`'${name} ${verb.meta.name}' does not work with --fleet`, {
      hint: `The verbs that do are ${FLEET_VERB_NAMES.join(", ")}.`,
    });
  }
  return run(session, words, verb);
}
