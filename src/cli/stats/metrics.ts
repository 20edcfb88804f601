// `machinectl metrics`: the numbers for Prometheus as text, as the daemon has them; without a daemon of ours, those of the
// machines, read here.
import { errnoNameOf } from "../../base/error.ts";
import { metricsText } from "../../stats/text.ts";
import { Failure, failed } from "../session/failure.ts";
import { replaceFile } from "../session/replace-file.ts";
import type { Session } from "../session/session.ts";
import { managerDirectory, meansLocalSockets } from "../session/target.ts";
import { MeasuredMachines } from "./machines.ts";

const PATIENCE_MS = 30_000;
const NOBODY_THERE = ["ENOENT", "ECONNREFUSED", "FailedToOpenSocket", "ConnectionRefused"];

/** What the daemon's own socket says; null where there is none. */
async function askDaemon(session: Session): Promise<string | null> {
  const { settings, ports } = session;
  const directory = managerDirectory(settings.scope, ports.env);
  if (directory === null || !meansLocalSockets(settings, ports.env)) return null;
  const unix = `${directory}/metrics`;
  if (!ports.isThere(unix)) return null;
  try {
    const reply = await fetch("http://localhost/metrics", { unix, signal: AbortSignal.timeout(PATIENCE_MS) });
    if (reply.status !== 200) throw new Failure(`'${unix}' answered with ${reply.status} ${reply.statusText}`);
    return await reply.text();
  } catch (error) {
    if (error instanceof Failure) throw error;
    const code = (error as { code?: string }).code ?? errnoNameOf(error) ?? "";
    // A socket that a daemon left behind.
    if (NOBODY_THERE.includes(code)) return null;
    throw failed(`Cannot get metrics from '${unix}'`, error);
  }
}

async function measureHere(session: Session): Promise<string> {
  using machines = new MeasuredMachines(session, []);
  await machines.refresh();
  const sources = machines.readUsage().map(({ facts, usage }) => ({
    name: facts.name,
    class: facts.class,
    service: facts.service,
    startedSeconds: facts.sinceUsec === 0n ? null : Number(facts.sinceUsec) / 1e6,
    usage,
  }));
  return metricsText(sources, null, "text");
}

/** The verb `metrics`. */
export async function metrics(session: Session, [file]: readonly string[]): Promise<number> {
  const text = (await askDaemon(session)) ?? (await measureHere(session));
  if (file === undefined) session.output.write(text);
  else replaceFile(file, text);
  return 0;
}
