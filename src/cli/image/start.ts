// `machinectl start`: starts the services that run images, and waits until they are up (machinectl(1), "start").
import { startPasswordAgent, startPolkitAgent } from "../session/agents.ts";
import { attempt } from "../session/failure.ts";
import type { Session } from "../session/session.ts";
import { endedWell, JobWatch, jobComplaint } from "../unit/jobs.ts";
import { hasUnits, startWithoutSystemd } from "./start-without-systemd.ts";
import { checkImage, unitOf } from "./units.ts";

/** Queues the start of a unit; returns the object path of the job. */
async function startUnit(session: Session, unit: string): Promise<string> {
  const args = { name: unit, mode: "fail" };
  return (await attempt("Failed to start unit", () => session.serviceManager("StartUnit", args))).job;
}

/**
 * The verb `start`. Start jobs are queued one after the other, then all are waited for. An invalid name ends the verb
 * without waiting for the jobs before it. Prints why a job failed, except with --quiet.
 */
export async function start(session: Session, names: readonly string[]): Promise<number> {
  if (!hasUnits(session)) return startWithoutSystemd(session, names);
  await startPolkitAgent(session);
  await startPasswordAgent(session);
  let watch: JobWatch | null = null;
  const jobs: string[] = [];
  for (const name of names) {
    await checkImage(session, name);
    // Signals are subscribed before the first job exists, so that its end cannot be missed.
    watch ??= await attempt("Could not watch jobs", async () => JobWatch.start(await session.bus("signals")));
    jobs.push(await startUnit(session, unitOf(session, name)));
  }
  if (watch === null) return 0;
  const removed = await watch.wait(jobs);
  for (const job of removed) {
    const lines = session.settings.quiet ? [] : await jobComplaint(session, job);
    for (const line of lines) session.report.error(line);
  }
  return removed.every(endedWell) ? 0 : 1;
}
