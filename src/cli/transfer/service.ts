// Calls the transfer daemon (org.freedesktop.import1): over the bus, or if no bus runs or the daemon is not on it, over
// the daemon's private socket.
import { IMPORT1_NAME, IMPORT1_PATH, ImportManager } from "../../api/import1.ts";
import { errnoNameOf } from "../../base/error.ts";
import { type CallArguments, type CallResult, callTyped, type Member } from "../../ipc/bus/typed-call.ts";
import { isBusFailure } from "../session/failure.ts";
import type { Bus, BusUse } from "../session/ports.ts";
import type { Session } from "../session/session.ts";
import { managerDirectory, meansLocalSockets } from "../session/target.ts";

/** Errors of connect(2) that mean that no message bus runs. */
const NO_BUS = ["ENOENT", "ECONNREFUSED", "ENOTDIR"];
const NO_SUCH_SERVICE = ["org.freedesktop.DBus.Error.ServiceUnknown", "org.freedesktop.DBus.Error.NameHasNoOwner"];
const UNKNOWN = "org.freedesktop.DBus.Error.UnknownMethod";

type Table = typeof ImportManager;

/** A call of the transfer manager: a method with its arguments. */
export type ManagerCall<Name extends Member<Table> = Member<Table>> = {
  [Each in Name]: { readonly member: Each; readonly args: CallArguments<Table, Each> };
}[Name];

/** The reply of the transfer manager, with the method that was called. */
type ManagerReply<Name extends Member<Table>> = {
  [Each in Name]: { readonly member: Each; readonly result: CallResult<Table, Each> };
}[Name];

/**
 * Tries the calls in order until one is not answered with UnknownMethod; returns its reply. Throws other error replies.
 */
export async function callFirstKnown<Name extends Member<Table>>(
  session: Session,
  bus: Bus,
  calls: readonly ManagerCall<Name>[],
): Promise<ManagerReply<Name>> {
  // The user may take any time to type a password.
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

/** The largest timeout, 24 days. */
const ANSWER_TIMEOUT_MS = 0x7fff_ffff;

/**
 * Calls `work` with the connection to the bus; if the daemon is not there, calls it again with the daemon's private
 * socket. $MACHINED_RUNTIME_DIRECTORY makes the private socket the first choice.
 */
export async function withTransferDaemon<T>(session: Session, use: BusUse, work: (bus: Bus) => Promise<T>): Promise<T> {
  const isNamed = Boolean(session.ports.env["MACHINED_RUNTIME_DIRECTORY"]);
  const first = isNamed ? await openPrivate(session, use) : null;
  if (first !== null) return work(first);
  try {
    return await work(await session.bus(use));
  } catch (error) {
    const peer = isAbsent(error) ? await openPrivate(session, use) : null;
    if (peer === null) throw error;
    return work(peer);
  }
}

function isAbsent(error: unknown): boolean {
  const cause = error instanceof Error ? error.cause : undefined;
  return isBusFailure(error, ...NO_SUCH_SERVICE) || NO_BUS.includes(errnoNameOf(cause) ?? "");
}

async function openPrivate(session: Session, use: BusUse): Promise<Bus | null> {
  const { settings, ports } = session;
  const directory = managerDirectory(settings.scope, ports.env)?.replace(/machine$/, "import");
  if (directory === undefined || !meansLocalSockets(settings, ports.env)) return null;
  try {
    return await session.connectBus({ kind: "private", path: `${directory}/private` }, use);
  } catch {
    return null;
  }
}
