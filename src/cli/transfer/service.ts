// The road to the transfer daemon: the bus where there is one and a daemon on it, else the daemon's private socket.
import { IMPORT1_NAME, IMPORT1_PATH, ImportManager } from "../../api/import1.ts";
import { errnoNameOf } from "../../base/error.ts";
import { isBusFailure } from "../session/failure.ts";
import type { Bus } from "../session/ports.ts";
import type { Session } from "../session/session.ts";
import { managerDirectory, meansLocalSockets } from "../session/target.ts";

const NOBODY_THERE = ["ENOENT", "ECONNREFUSED", "ENOTDIR"];
const NO_SUCH_SERVICE = ["org.freedesktop.DBus.Error.ServiceUnknown", "org.freedesktop.DBus.Error.NameHasNoOwner"];
const UNKNOWN = "org.freedesktop.DBus.Error.UnknownMethod";

/** A call of the manager of transfers: its member, the signature and the arguments. */
export interface ManagerCall {
  readonly member: string;
  readonly signature: string;
  readonly body: readonly unknown[];
}

/** Calls the manager over a connection; of several calls the first that the daemon knows. */
export async function callFirstKnown(
  session: Session,
  bus: Bus,
  calls: readonly ManagerCall[],
): Promise<{ call: ManagerCall; reply: unknown[] }> {
  for (const [index, call] of calls.entries()) {
    try {
      const where = { destination: IMPORT1_NAME, path: IMPORT1_PATH, interface: ImportManager.name };
      const reply = await bus.call({
        ...where,
        ...call,
        interactive: session.settings.askPassword,
        // Whoever is asked for a password may take as long as they like.
        timeoutMs: ANSWER_TIMEOUT_MS,
      });
      return { call, reply };
    } catch (error) {
      if (!isBusFailure(error, UNKNOWN) || index === calls.length - 1) throw error;
    }
  }
  throw new TypeError("no calls");
}

const ANSWER_TIMEOUT_MS = 0x7fff_ffff;

/** Does some work over the connection on which the daemon is found. The work may be begun twice. */
export async function withTransferDaemon<T>(session: Session, work: (bus: Bus) => Promise<T>): Promise<T> {
  const isNamed = Boolean(session.ports.env["MACHINED_RUNTIME_DIRECTORY"]);
  const first = isNamed ? await openPrivate(session) : null;
  if (first !== null) return work(first);
  try {
    return await work(await session.bus());
  } catch (error) {
    const peer = isAbsent(error) ? await openPrivate(session) : null;
    if (peer === null) throw error;
    return work(peer);
  }
}

function isAbsent(error: unknown): boolean {
  const cause = error instanceof Error ? error.cause : undefined;
  return isBusFailure(error, ...NO_SUCH_SERVICE) || NOBODY_THERE.includes(errnoNameOf(cause) ?? "");
}

async function openPrivate(session: Session): Promise<Bus | null> {
  const { settings, ports } = session;
  const directory = managerDirectory(settings.scope, ports.env)?.replace(/machine$/, "import");
  if (directory === undefined || !meansLocalSockets(settings, ports.env)) return null;
  try {
    return await session.connectBus({ kind: "private", path: `${directory}/private` });
  } catch {
    return null;
  }
}
