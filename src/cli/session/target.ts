// Where a connection goes: what -H and -M mean, and the sockets of a machine manager on this host
// (machinectl(1), "--host=" and "--machine="; sd_bus_open_system_remote(3)).
import { ErrnoError } from "../../base/error.ts";
import { isHostName, isMachineNameOrHost } from "../../base/names.ts";
import type { BusTarget } from "../../ipc/bus/transport.ts";
import type { Account } from "../../kernel/process/account.ts";
import type { Environment } from "../format/terminal.ts";
import type { Settings } from "./settings.ts";

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

/** Who calls, as the kernel and the user database have it. */
export type Caller = Pick<Account, "uid" | "name">;

/**
 * `[USER@]MACHINE`, with nothing after the `@` for this host. Without a user it is the machine's root whose bus is meant,
 * with nothing before the `@` a user of the machine who is called as the caller is. The local host as oneself is the
 * plain bus. Throws EINVAL for a name that cannot be a machine's.
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

/** Whether this host's bus, as that user, is what the caller would connect to without more words. */
function isPlainBus(user: string | null, scope: Settings["scope"], { uid, name }: Caller): boolean {
  if (user === null) return scope === "system" || uid === 0;
  return user === name || user === String(uid);
}

/** The bus that `--system`, `--user`, `-H` and `-M` mean together. Throws EINVAL, or EOPNOTSUPP where there is none. */
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
