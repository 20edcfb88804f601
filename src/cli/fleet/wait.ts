// `machinectl --fleet wait`: sends requests with a limit of some seconds, so that no agent waits long for a client that
// has ended.
import type { FleetClient } from "../../fleet/client.ts";
import { MOST_WAIT_MS } from "../../fleet/request.ts";
import { allMet, anyMet, TIMED_OUT } from "../machine/several-waits.ts";
import { Failure } from "../session/failure.ts";
import type { Session } from "../session/session.ts";
import { chosenHosts, withFleet } from "./open.ts";
import { placesOf } from "./places.ts";

/** The time that a request may take beside its own limit: the messages, and the start of a program. */
const TURN_PATIENCE_MS = 40_000;

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
): Promise<number> {
  const { waitFor: until, timeoutMs } = session.settings;
  const end = timeoutMs > 0 ? performance.now() + timeoutMs : Number.POSITIVE_INFINITY;
  for (;;) {
    const begin = performance.now();
    const leftMs = end - begin;
    if (leftMs <= 0) return timedOut(session, host, machine);
    const turnMs = Math.max(Math.round(Math.min(leftMs, MOST_WAIT_MS)), 1);
    const body = { machines: [machine], until, timeoutMs: turnMs };
    const { status, error } = await fleet.ask(host, "read", "wait", body, turnMs + TURN_PATIENCE_MS);
    if (status === TIMED_OUT) {
      // After an agent that returns early there is a pause, too: otherwise it would be asked continuously.
      await Bun.sleep(Math.ceil(Math.max(1, begin + turnMs - performance.now())));
      continue;
    }
    if (status !== 0) session.report.error(`${host}: ${error.trim().split("\n").join("; ").slice(0, 1000)}`);
    return status;
  }
}

function timedOut({ report, settings }: Waiter, host: string, machine: string): number {
  report.error(`${host}/${machine}: Not ${settings.waitFor} within the time`);
  return TIMED_OUT;
}

/** The verb `wait`: for all machines, or with `--any` until the first meets the condition. */
export async function wait(session: Session, words: readonly string[]): Promise<number> {
  const places = placesOf(words, chosenHosts(session));
  const interrupt = session.ports.interrupted();
  try {
    return await withFleet(session, async (fleet) => {
      const waits = places.flatMap(({ host, machines }) =>
        machines.map((machine) => waitForOne(session, fleet, host, machine)),
      );
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
