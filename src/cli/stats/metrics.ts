// `machinectl metrics`: prints metrics in the text format of Prometheus. They come from the daemon's metrics socket; if
// there is none, because the distribution's daemon runs, the machines are measured by this process.
import { errnoNameOf } from "../../base/error.ts";
import { metricsText } from "../../stats/text.ts";
import { Failure, failed } from "../session/failure.ts";
import { replaceFile } from "../session/replace-file.ts";
import type { Session } from "../session/session.ts";
import { managerDirectory, meansLocalSockets } from "../session/target.ts";
import { MeasuredMachines } from "./machines.ts";

const TIMEOUT_MS = 30_000;
/** Error codes of fetch() and connect(2) for a socket that no process listens on. */
const NOT_LISTENING = ["ENOENT", "ECONNREFUSED", "FailedToOpenSocket", "ConnectionRefused"];

/** Returns the metrics from the daemon's socket; null if there is none. Throws a Failure for other errors. */
async function metricsOfDaemon(session: Session): Promise<string | null> {
  const { settings, ports } = session;
  const directory = managerDirectory(settings.scope, ports.env);
  if (directory === null || !meansLocalSockets(settings, ports.env)) return null;
  const unix = `${directory}/metrics`;
  if (!ports.isThere(unix)) return null;
  try {
    const reply = await fetch("http://localhost/metrics", { unix, signal: AbortSignal.timeout(TIMEOUT_MS) });
    if (reply.status !== 200) throw new Failure(`'${unix}' answered with ${reply.status} ${reply.statusText}`);
    return await reply.text();
  } catch (error) {
    if (error instanceof Failure) throw error;
    const code = (error as { code?: string }).code ?? errnoNameOf(error) ?? "";
    // A daemon that has ended left the socket.
    if (NOT_LISTENING.includes(code)) return null;
    throw failed(`Cannot get metrics from '${unix}'`, error);
  }
}

/** Measures all machines and returns their metrics. */
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

/** The verb `metrics`: prints the metrics, or writes them to a file. */
export async function metrics(session: Session, [file]: readonly string[]): Promise<number> {
  const text = (await metricsOfDaemon(session)) ?? (await measureHere(session));
  if (file === undefined) session.output.write(text);
  else replaceFile(file, text);
  return 0;
}
