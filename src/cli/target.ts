// Where a connection goes: what -H and -M mean, and the sockets of a machine manager on this host
// (machinectl(1), "--host=" and "--machine="; sd_bus_open_system_remote(3)).
import { ErrnoError } from "../base/error.ts";
import { isHostName, isMachineNameOrHost } from "../base/names.ts";
import type { BusTarget } from "../ipc/bus-transport.ts";
import type { Settings } from "./settings.ts";
import type { Environment } from "./terminal.ts";

function invalid(what: string): ErrnoError {
  return new ErrnoError("EINVAL", `Invalid argument '${what}'`);
}

/** The `host[:port]` part with its brackets, if the host is an IPv6 address, and what follows. */
const REMOTE = /^(?:([^@[\]/:]+)@)?(?:\[([0-9A-Fa-f:.]+(?:%[\w.-]+)?)\]|([^@[\]/:]+))(?::([^/]*))?(?:\/(.*))?$/;

/** `[USER@]HOST[:PORT][/MACHINE]`, or the older `HOST:MACHINE`. Throws EINVAL for anything else. */
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

/**
 * `[USER@]NAME`. The local host (`.host`, or nothing after the `@`) as the calling user is the plain bus. Throws EINVAL
 * for a name that cannot be a machine's.
 */
export function parseContainer(text: string, scope: Settings["scope"], ownUser: string | undefined): BusTarget {
  const at = text.indexOf("@");
  const user = at < 0 ? undefined : text.slice(0, at) || ownUser;
  const name = (at < 0 ? text : text.slice(at + 1)) || (at < 0 ? "" : ".host");
  if (!isMachineNameOrHost(name)) throw invalid(text);
  if (name === ".host" && (user === undefined || user === ownUser)) return { kind: scope };
  return user === undefined ? { kind: "machine", name } : { kind: "machine", name, user };
}

/** Where the sockets of the machine manager of a scope are, or null where the scope has no place here. */
export function managerDirectory(scope: Settings["scope"], env: Environment): string | null {
  if (scope === "system") return `${env["MACHINED_RUNTIME_DIRECTORY"] || "/run/systemd"}/machine`;
  const runtime = env["XDG_RUNTIME_DIR"];
  return runtime === undefined || runtime === "" ? null : `${runtime}/systemd/machine`;
}

/**
 * Whether the sockets in the manager's directory lead to the manager that is meant. A caller who names another bus
 * means the manager on that bus, unless the directory is named as well.
 */
export function meansLocalSockets(settings: Settings, env: Environment): boolean {
  if (settings.transport.kind !== "local") return false;
  return Boolean(env["MACHINED_RUNTIME_DIRECTORY"]) || !env["DBUS_SYSTEM_BUS_ADDRESS"];
}
