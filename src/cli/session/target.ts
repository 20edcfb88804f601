// Translates -H, -M, --system and --user to the bus that a connection leads to, and finds the sockets of the machine
// manager on this host (machinectl(1), "--host=" and "--machine="; sd_bus_open_system_remote(3)).
import { ErrnoError } from "../../base/error.ts";
import { isHostName, isMachineNameOrHost } from "../../base/names.ts";
import type { BusTarget } from "../../ipc/bus/transport.ts";
import type { Account } from "../../kernel/process/account.ts";
import type { Environment } from "../format/terminal.ts";
import { failed } from "./failure.ts";
import type { Settings } from "./settings.ts";

function invalid(what: string): ErrnoError {
  return new ErrnoError("EINVAL", `Invalid argument '${what}'`);
}

/** `[USER@]HOST[:PORT|:MACHINE][/MACHINE]`; the host may be an IPv6 address in brackets. */
const REMOTE = /^(?:([^@[\]/:]+)@)?(?:\[([0-9A-Fa-f:.]+(?:%[\w.-]+)?)\]|([^@[\]/:]+))(?::([^/]*))?(?:\/(.*))?$/;

/** Parses `[USER@]HOST[:PORT][/MACHINE]`, or the older `HOST:MACHINE`. Throws EINVAL for other text. */
export function parseRemote(text: string): BusTarget {
  const match = REMOTE.exec(text);
  if (match === null) throw invalid(text);
  const [, user, literal, name, afterColon, afterSlash] = match;
  const hasPort = afterColon !== undefined && /^[0-9]+$/.test(afterColon);
  if (afterColon !== undefined && !hasPort && afterSlash !== undefined) throw invalid(text);
  const machine = afterSlash ?? (hasPort ? undefined : afterColon);
  if (machine !== undefined && !isHostName(machine)) throw invalid(text);
  const host = `${user === undefined ? "" : `${user}@`}${literal ?? name ?? ""}`;
  const port = hasPort ? { port: afterColon } : {};
  return { kind: "ssh", host, ...port, ...(machine === undefined ? {} : { machine }) };
}

/** parseRemote() for verbs that reach the host themselves. Throws a Failure. */
export function remoteHost(text: string): BusTarget {
  try {
    return parseRemote(text);
  } catch (error) {
    throw failed("Failed to connect to system scope bus via remote transport", error);
  }
}

/** The user who runs the client: user id, and name from the user database. */
export type Caller = Pick<Account, "uid" | "name">;

/**
 * Parses `[USER@]MACHINE`. No text after the `@` means this host. No `@` means root's bus in the machine; no text
 * before the `@` means the bus of the machine's user with the caller's own name. For the caller's own bus on this host,
 * returns the plain bus. Throws EINVAL for a name that no machine can have.
 */
function parseContainer(text: string, scope: Settings["scope"], caller: Caller): BusTarget {
  const at = text.indexOf("@");
  const user = at < 0 ? null : text.slice(0, at) || caller.name;
  const machine = text.slice(at + 1) || (at < 0 ? "" : HOST);
  if (!isMachineNameOrHost(machine)) throw invalid(text);
  if (machine === HOST && isPlainBus(user, scope, caller)) return { kind: scope };
  if (user === null && scope === "system") return { kind: "machine", name: machine };
  return { kind: "login", scope, machine, user: user ?? "root" };
}

const HOST = ".host";

/** Whether the bus of `user` on this host is the one that the caller reaches without -M. */
function isPlainBus(user: string | null, scope: Settings["scope"], { uid, name }: Caller): boolean {
  if (user === null) return scope === "system" || uid === 0;
  return user === name || user === String(uid);
}

/**
 * Returns the bus that `--system`, `--user`, `-H` and `-M` select together. Throws EINVAL for an invalid host or
 * machine, EOPNOTSUPP for `--user` with `-H`.
 */
export async function busTarget(
  { scope, transport, batch = false }: Pick<Settings, "scope" | "transport"> & Partial<Pick<Settings, "batch">>,
  caller: () => Promise<Caller>,
): Promise<BusTarget> {
  if (transport.kind === "local") return { kind: scope };
  if (transport.kind === "machine") return parseContainer(transport.name, scope, await caller());
  if (scope === "user") throw new ErrnoError("EOPNOTSUPP", "There is no user scope on other hosts");
  const target = parseRemote(transport.host);
  return target.kind === "ssh" && batch ? { ...target, batch } : target;
}

/**
 * Whether the manager that -H and -M select is one of this host, so that the numbers that it reports are those of
 * processes of this host.
 */
export function isOfThisHost({ transport }: Pick<Settings, "transport">): boolean {
  if (transport.kind !== "machine") return transport.kind === "local";
  const at = transport.name.indexOf("@");
  const machine = transport.name.slice(at + 1);
  return machine === HOST || (at >= 0 && machine === "");
}

/** Returns the directory with the sockets of a scope's machine manager; null for --user without $XDG_RUNTIME_DIR. */
export function managerDirectory(scope: Settings["scope"], env: Environment): string | null {
  if (scope === "system") return `${env["MACHINED_RUNTIME_DIRECTORY"] || "/run/systemd"}/machine`;
  const runtime = env["XDG_RUNTIME_DIR"];
  return runtime === undefined || runtime === "" ? null : `${runtime}/systemd/machine`;
}

/**
 * Whether the sockets in managerDirectory() belong to the manager that the caller addresses. A caller who sets
 * $DBUS_SYSTEM_BUS_ADDRESS addresses the manager on that bus, unless $MACHINED_RUNTIME_DIRECTORY is set as well.
 */
export function meansLocalSockets(settings: Settings, env: Environment): boolean {
  if (settings.transport.kind !== "local") return false;
  return Boolean(env["MACHINED_RUNTIME_DIRECTORY"]) || !env["DBUS_SYSTEM_BUS_ADDRESS"];
}
