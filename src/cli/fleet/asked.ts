// Verbs that agents carry out: status and those of the scope `lifecycle`, and what these verbs share with stats.
import type { FleetClient } from "../../fleet/client.ts";
import { LostConnection } from "../../fleet/errors.ts";
import type { Scope } from "../../fleet/names.ts";
import type { VerbRow } from "../command-line/verb-row.ts";
import { printPages } from "../hosts/print.ts";
import type { HostResult } from "../hosts/result.ts";
import { Failure } from "../session/failure.ts";
import { inParallel } from "../session/in-parallel.ts";
import type { Session } from "../session/session.ts";
import { pageJsonMode } from "../session/settings.ts";
import { asFailure, chosenHosts, readingFleet, withFleet } from "./open.ts";
import { type Place, placesOf } from "./places.ts";

/**
 * How many hosts are asked at the same time. The client only sends and receives messages, so that the number can be
 * large.
 */
export const AT_ONCE = 64;
/** The deadline of an answer: longer than the agent's own deadline for verbs of the scope. */
const PATIENCE_MS: Readonly<Record<Scope, number>> = { read: 40_000, lifecycle: 130_000, exec: 130_000 };
const MOST_REASON = 1000;

/** Returns the lines of an error as one. */
function reasonOf(error: string, status: number): string {
  const lines = error.split("\n").map((line) => line.trim());
  const text = lines.filter((line) => line !== "").join("; ");
  return text === "" ? `Failed with exit status ${status}` : text.slice(0, MOST_REASON);
}

/** The request to each host, without its machines. */
export interface Question {
  readonly scope: Scope;
  readonly verb: string;
  readonly body: object;
  /** Whether a failure for which the answer has no reason is not reported. */
  readonly isQuiet?: boolean;
}

/**
 * Sends the request to one host. Where it fails, the result has the reason. Throws a LostConnection for what only
 * reads.
 */
export async function askHost(fleet: FleetClient, place: Place, question: Question): Promise<HostResult> {
  const { host, machines } = place;
  const { scope, verb, body, isQuiet = false } = question;
  try {
    const answer = await fleet.ask(host, scope, verb, { ...body, machines }, PATIENCE_MS[scope]);
    const isSilent = answer.status === 0 || (isQuiet && answer.error.trim() === "");
    const error = isSilent ? null : reasonOf(answer.error, answer.status);
    return { host, text: answer.output, status: answer.status, error };
  } catch (error) {
    if (error instanceof LostConnection && scope === "read") throw error;
    const failure = asFailure(error);
    if (!(failure instanceof Failure)) throw error;
    return { host, text: "", status: 1, error: failure.message };
  }
}

/** Prints the failures; returns the exit status. */
export function finish({ report }: Session, results: readonly HostResult[]): number {
  for (const { host, error } of results) if (error !== null) report.error(`${host}: ${error}`);
  return Number(results.some(({ status }) => status !== 0));
}

/** The verb `status`. */
export async function status(session: Session, verb: VerbRow, words: readonly string[]): Promise<number> {
  const { settings } = session;
  const places = placesOf(words, chosenHosts(session));
  const form = pageJsonMode(settings) === null ? "text" : "json";
  const { output } = settings;
  const body = { form, lines: Math.min(settings.lines, 1000), output };
  const question: Question = { scope: "read", verb: "status", body };
  const results = await readingFleet(session, (fleet) =>
    inParallel(places, AT_ONCE, (place) => askHost(fleet, place, question)),
  );
  await session.openPager();
  return finish(session, printPages(session, verb, results));
}

/** The verbs `start`, `poweroff`, `reboot` and `terminate`. */
export async function lifecycle(session: Session, verb: string, words: readonly string[]): Promise<number> {
  const places = placesOf(words, chosenHosts(session));
  const { runner, quiet } = session.settings;
  const body = verb === "start" ? { runner, quiet } : {};
  const question: Question = { scope: "lifecycle", verb, body, isQuiet: quiet };
  const results = await withFleet(session, (fleet) =>
    inParallel(places, AT_ONCE, (place) => askHost(fleet, place, question)),
  );
  return finish(session, results);
}
