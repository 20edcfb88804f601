// Calls the transfer daemon: over the bus where there is one and a daemon on it, else over the daemon's private socket.
import { IMPORT1_NAME, IMPORT1_PATH, ImportManager } from "../../api/import1.ts";
import { errnoNameOf } from "../../base/error.ts";
import { type CallArguments, type CallResult, callTyped, type Member } from "../../ipc/bus/typed-call.ts";
import { isBusFailure } from "../session/failure.ts";
import type { Bus } from "../session/ports.ts";
import type { Session } from "../session/session.ts";
import { managerDirectory, meansLocalSockets } from "../session/target.ts";

const NOBODY_THERE = ["ENOENT", "ECONNREFUSED", "ENOTDIR"];
const NO_SUCH_SERVICE = ["org.freedesktop.DBus.Error.ServiceUnknown", "org.freedesktop.DBus.Error.NameHasNoOwner"];
const UNKNOWN = "org.freedesktop.DBus.Error.UnknownMethod";

type Table = typeof ImportManager;

/** A call of the manager of transfers: a method with its arguments. */
export type ManagerCall<Name extends Member<Table> = Member<Table>> = {
  [Each in Name]: { readonly member: Each; readonly args: CallArguments<Table, Each> };
}[Name];

/** The reply to a call of the manager of transfers, with the method that was called. */
type ManagerReply<Name extends Member<Table>> = {
  [Each in Name]: { readonly member: Each; readonly result: CallResult<Table, Each> };
}[Name];

/** Calls the manager over a connection; of several calls the first that the daemon knows. */
export async function callFirstKnown<Name extends Member<Table>>(
  session: Session,
  bus: Bus,
  calls: readonly ManagerCall<Name>[],
): Promise<ManagerReply<Name>> {
  // A person who is asked for a password may take any time.
  const options = { interactive: session.settings.askPassword, timeoutMs: ANSWER_TIMEOUT_MS };
  const where = { destination: IMPORT1_NAME, path: IMPORT1_PATH, ...options };
  for (const [index, { member, args }] of calls.entries()) {
    try {
      const result = await callTyped((call) => bus.call(call), where, ImportManager, member, args);
      return { member, result } as ManagerReply<Name>;
    } catch (error) {
      if (!isBusFailure(error, UNKNOWN) || index === calls.length - 1) throw error;
    }
  }
  throw new TypeError("no calls");
}

const ANSWER_TIMEOUT_MS = 0x7fff_ffff;

/** Calls `work` with the connection on which the daemon is found. It may be called twice. */
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
