// `machinectl --fleet wait`: sends requests with a limit of some seconds, so that no agent waits long for a client that
// has ended.
import type { FleetClient } from "../../fleet/client.ts";
import { MOST_WAIT_MS } from "../../fleet/request.ts";
import { allMet, anyMet, TIMED_OUT } from "../machine/several-waits.ts";
import { Failure } from "../session/failure.ts";
import type { Session } from "../session/session.ts";
import { chosenHosts, readingFleet } from "./open.ts";
import { placesOf } from "./places.ts";

/** The time that a request may take beside its own limit: the messages, and the start of a program. */
const TURN_PATIENCE_MS = 20_000;
/**
 * How many requests in a row may have no answer: an agent that loses its server cannot answer what was asked before.
 */
const MOST_SILENT_TURNS = 2;
/** How long a host that has a record may have no agent. */
const AGENT_PATIENCE_MS = 30_000;

/** What `waitForOne()` needs of a session. */
type Waiter = Pick<Session, "settings" | "report">;

/**
 * Waits until a machine meets the condition of the session's settings; returns the exit status. Throws a FleetError.
 */
export async function waitForOne(
  session: Waiter,
  fleet: Pick<FleetClient, "ask">,
  host: string,
  machine: string,
  end = deadlineOf(session),
): Promise<number> {
  const { waitFor: until, quiet } = session.settings;
  for (let silent = 0; ; ) {
    const begin = performance.now();
    const leftMs = end - begin;
    if (leftMs <= 0) return timedOut(session, host, machine);
    const turnMs = Math.max(Math.round(Math.min(leftMs, MOST_WAIT_MS)), 1);
    const body = { machines: [machine], until, timeoutMs: turnMs, quiet };
    const patienceMs = Math.min(leftMs, AGENT_PATIENCE_MS);
    const asked = fleet.ask(host, "read", "wait", body, turnMs + TURN_PATIENCE_MS, patienceMs);
    const answer = await asked.catch((error: unknown) => {
      if (!isSilence(error) || ++silent > MOST_SILENT_TURNS) throw error;
      return null;
    });
    if (answer === null) continue;
    silent = 0;
    const { status, error } = answer;
    if (status === TIMED_OUT) {
      // After an agent that returns early there is a pause, too: otherwise it would be asked continuously.
      await Bun.sleep(Math.ceil(Math.max(1, begin + turnMs - performance.now())));
      continue;
    }
    const isSilent = status === 0 || (quiet && error.trim() === "");
    if (!isSilent) session.report.error(`${host}: ${error.trim().split("\n").join("; ").slice(0, 1000)}`);
    return status;
  }
}

function deadlineOf({ settings: { timeoutMs } }: Waiter): number {
  return timeoutMs > 0 ? performance.now() + timeoutMs : Number.POSITIVE_INFINITY;
}

function isSilence(error: unknown): boolean {
  return error instanceof Error && error.cause instanceof Error && error.cause.name === "TimeoutError";
}

function timedOut({ report, settings }: Waiter, host: string, machine: string): number {
  if (!settings.quiet) report.error(`${host}/${machine}: Not ${settings.waitFor} within the time`);
  return TIMED_OUT;
}

/** The verb `wait`: for all machines, or with `--any` until the first meets the condition. */
export async function wait(session: Session, words: readonly string[]): Promise<number> {
  const places = placesOf(words, chosenHosts(session));
  const interrupt = session.ports.interrupted();
  const deadline = deadlineOf(session);
  // Machines that were waited for before a connection was lost.
  const done = new Map<string, number>();
  const waitOnce = async (fleet: FleetClient, host: string, machine: string) => {
    const place = `${host}/${machine}`;
    const status = done.get(place) ?? (await waitForOne(session, fleet, host, machine, deadline));
    done.set(place, status);
    return status;
  };
  try {
    return await readingFleet(session, async (fleet) => {
      const waits = places.flatMap(({ host, machines }) => machines.map((machine) => waitOnce(fleet, host, machine)));
      for (const one of waits) one.catch(() => {});
      const end = session.settings.any ? anyMet(waits) : allMet(waits);
      const over = interrupt.promise.then(() => {
        throw new Failure("Interrupted");
      });
      over.catch(() => {});
      return await Promise.race([end, over]);
    });
  } finally {
    interrupt.stop();
  }
}
