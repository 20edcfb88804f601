// `machinectl start`: runs images as services and waits until these are up (machinectl(1), "start").
import { startPasswordAgent, startPolkitAgent } from "../session/agents.ts";
import { attempt } from "../session/failure.ts";
import type { Session } from "../session/session.ts";
import { endedWell, JobWatch, jobComplaint } from "../unit/jobs.ts";
import { checkImage, unitOf } from "./units.ts";

/** Queues the start of a unit; gives the object path of the job. */
async function startUnit(session: Session, unit: string): Promise<string> {
  const where = { path: "/org/freedesktop/systemd1", interface: "org.freedesktop.systemd1.Manager" };
  const call = { ...where, destination: "org.freedesktop.systemd1", member: "StartUnit", signature: "ss" };
  const [job] = await attempt("Failed to start unit", () => session.callBus({ ...call, body: [unit, "fail"] }));
  return String(job);
}

/**
 * The verb `start`. Jobs are queued one by one; a bad name ends it without waiting for those before. Says why a job
 * failed unless told to be quiet.
 */
export async function start(session: Session, names: readonly string[]): Promise<number> {
  await startPolkitAgent(session);
  await startPasswordAgent(session);
  let watch: JobWatch | null = null;
  const jobs: string[] = [];
  for (const name of names) {
    await checkImage(session, name);
    // Watched from before the job exists, or its end could be missed.
    watch ??= await attempt("Could not watch jobs", async () => JobWatch.start(await session.bus()));
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
