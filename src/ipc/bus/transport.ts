// The transports to a D-Bus server: a socket of this host, a socket inside a machine, a session of a user, ssh(1) to another
// host.
// (D-Bus specification, "Server Addresses"; systemd-stdio-bridge(1))
import { parseEnvFile } from "../../base/env-file.ts";
import { ErrnoError } from "../../base/error.ts";
import { isMachineName } from "../../base/names.ts";
import { type Fd, openInRoot, openPath } from "../../kernel/file/fd.ts";
import { withIdentity } from "../../kernel/process/namespace.ts";
import { connectThroughFd, connectUnix, socketPair, type UnixAddress } from "../../kernel/socket/unix.ts";
import { runtimeDirectory } from "../runtime-directory.ts";
import { ClientHandshake, type Handshake } from "./handshake.ts";

export type BusTarget =
  | { readonly kind: "system" }
  | { readonly kind: "user" }
  | { readonly kind: "private"; readonly path: string }
  | { readonly kind: "machine"; readonly name: string }
  | LoginTarget
  | SshTarget;

/** The system bus of another host, or of a machine there. */
interface SshTarget {
  readonly kind: "ssh";
  readonly host: string;
  readonly port?: string;
  readonly machine?: string;
  /** Whether ssh must not ask for anything: one of several hosts. */
  readonly batch?: boolean;
}

/** A bus of a machine, or of this host (`.host`), as in a login session of a user. */
interface LoginTarget {
  readonly kind: "login";
  readonly scope: "system" | "user";
  readonly machine: string;
  /** A name or a number. */
  readonly user: string;
}

/** An open connection: what BusClient.open() takes. */
interface Transport {
  readonly fd: Fd;
  readonly peerToPeer?: boolean;
  readonly handshake?: Handshake;
}

const SYSTEM_BUS = "unix:path=/run/dbus/system_bus_socket";
const SOCKET_IN_MACHINE = "/run/dbus/system_bus_socket";

/** Opens the connection. Throws an error with errno: EHOSTDOWN where there is no such machine, ENOENT where it has no bus. */
export function openTransport(target: BusTarget): Transport {
  switch (target.kind) {
    case "system":
      return { fd: connectAddress(process.env["DBUS_SYSTEM_BUS_ADDRESS"] || SYSTEM_BUS) };
    case "user":
      return { fd: connectAddress(userBusAddress()) };
    case "private":
      return { fd: connectUnix(target.path), peerToPeer: true };
    case "machine":
      return openInMachine(target.name);
    case "login":
    case "ssh":
      return { fd: bridge(bridgeCommand(target)) };
  }
}

function userBusAddress(): string {
  const address = process.env["DBUS_SESSION_BUS_ADDRESS"];
  if (address) return address;
  const runtime = process.env["XDG_RUNTIME_DIR"];
  if (!runtime) {
    throw new ErrnoError(
      "ENOMEDIUM",
      "$DBUS_SESSION_BUS_ADDRESS and $XDG_RUNTIME_DIR not defined " +
        "(consider using --machine=<user>@.host --user to connect to bus of other user)",
    );
  }
  return `unix:path=${runtime}/bus`;
}

/** Tries the addresses of a list one after the other; throws the last failure. */
function connectAddress(list: string): Fd {
  let failure: unknown = new ErrnoError("EINVAL", `No usable bus address in ${JSON.stringify(list)}`);
  for (const address of list.split(";").filter((text) => text !== "")) {
    try {
      return connectUnix(unixAddressOf(address));
    } catch (error) {
      failure = error;
    }
  }
  throw failure;
}

function unixAddressOf(address: string): UnixAddress {
  const [kind, rest = ""] = address.split(/:(.*)/s);
  if (kind !== "unix") throw new ErrnoError("EOPNOTSUPP", `Bus addresses of the kind '${kind}' are not supported`);
  const keys = new Map(
    rest.split(",").map((pair) => pair.split(/=(.*)/s).slice(0, 2).map(decodeEscapes) as [string, string]),
  );
  const path = keys.get("path");
  if (path !== undefined) return path;
  const abstract = keys.get("abstract");
  if (abstract !== undefined) return { abstract };
  throw new ErrnoError("EINVAL", `No path in the bus address ${JSON.stringify(address)}`);
}

function decodeEscapes(text: string): string {
  return text.replaceAll(/%([0-9a-fA-F]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
}

/** Opens the system bus of a registered machine, for `-M NAME`. */
function openInMachine(name: string): Transport {
  if (name === ".host") return openTransport({ kind: "system" });
  if (!isMachineName(name)) throw new ErrnoError("EINVAL", "Invalid argument");
  let keys: ReadonlyMap<string, string>;
  try {
    keys = parseEnvFile(readText(`${runtimeDirectory()}/machines/${name}`));
  } catch {
    throw new ErrnoError("EHOSTDOWN", "Host is down");
  }
  if (keys.get("CLASS") !== "container") throw new ErrnoError("EMEDIUMTYPE", "Wrong medium type");
  const leader = Number(keys.get("LEADER"));
  if (!(leader > 1)) throw new ErrnoError("EBADMSG", "Bad message");
  return openInContainer(leader);
}

/**
 * Opens the system bus of the container with this leader. The socket is opened beneath the container's root and connected to as
 * the container's root user: its bus knows no user of the host. Nothing here waits: a bus that does not accept is an EAGAIN.
 */
function openInContainer(leader: number): Transport {
  using root = openPath(`/proc/${leader}/root`, "directory");
  using socket = openInRoot(root, SOCKET_IN_MACHINE, "path");
  const uid = outerRoot(leader, "uid");
  const gid = outerRoot(leader, "gid");
  const fd = withIdentity({ uid, gid }, () => connectThroughFd(socket)) as Fd;
  return { fd, handshake: new ClientHandshake(0) };
}

/** Reads a small file. The module for it is loaded here: few connections need one. */
function readText(path: string): string {
  return process.getBuiltinModule("node:fs").readFileSync(path, "utf8");
}

/** Returns the host id of the container's id 0; our own where it has no user namespace. */
function outerRoot(pid: number, kind: "uid" | "gid"): number {
  const line = readText(`/proc/${pid}/${kind}_map`).trim().split("\n")[0] ?? "";
  const [inside, outside] = line.trim().split(/\s+/).map(Number);
  if (inside === 0 && outside !== undefined) return outside;
  // Its bus would take us for somebody that it may not be talked into.
  if (line !== "") throw new ErrnoError("EOPNOTSUPP", "The machine has no root user");
  return 0;
}

/** Returns the program that connects its standard input and output to a bus, with its arguments. */
export function bridgeCommand(target: LoginTarget | SshTarget): string[] {
  return target.kind === "ssh" ? sshCommand(target) : loginCommand(target);
}

/** Returns the options of ssh(1) for a host, and the host. */
export function sshDestination({ host, port, batch }: Pick<SshTarget, "host" | "port" | "batch">): string[] {
  return [
    ...(batch === true ? ["-o", "BatchMode=yes"] : []),
    ...(port === undefined ? [] : ["-p", port]),
    ...["--", host],
  ];
}

/** A script that connects to the system bus of the other host or, where it has none but has this program, to our daemons. */
const BUS_OR_BRIDGE =
  "[ -S /run/dbus/system_bus_socket ] || ! command -v machined >/dev/null || exec machined bridge; exec systemd-stdio-bridge";

/** The login shell of the other host may be any, so that it gets three words (docs/decisions/0013-bridge.md). */
function sshCommand(target: SshTarget): string[] {
  const command =
    target.machine === undefined
      ? [`sh -c '${BUS_OR_BRIDGE}'`]
      : ["systemd-stdio-bridge", `--machine=${target.machine}`];
  const ssh = process.env["SYSTEMD_SSH"] || "ssh";
  return [ssh, "-xT", ...sshDestination(target), ...command];
}

/**
 * systemd-run(1) with a bridge in a session of the user. The path of a user's bus is known there alone, from
 * $XDG_RUNTIME_DIR; it is given with `-p`, because bridges before systemd 255 have no `--user`.
 */
function loginCommand({ scope, machine, user }: LoginTarget): string[] {
  const run = ["systemd-run", `-M${machine}`, "-PGq", "--wait", `-pUser=${user}`, "-pPAMName=login"];
  // biome-ignore lint/suspicious/noTemplateCurlyInString: the service manager that runs the bridge replaces it
  const bus = scope === "user" ? ["-punix:path=${XDG_RUNTIME_DIR}/bus"] : [];
  return [...run, "systemd-stdio-bridge", ...bus];
}

/** A program that speaks D-Bus on its standard input and output. It ends when the connection does. */
function bridge(command: readonly string[]): Fd {
  const [ours, theirs] = socketPair();
  using other = theirs;
  try {
    // The current environment: variables that our own parent set for us have been removed from it.
    Bun.spawn([...command], { stdio: [other.number, other.number, "inherit"], env: process.env }).unref();
  } catch (error) {
    ours.close();
    throw new ErrnoError("ENOENT", `Cannot run ${command[0]}`, { cause: error });
  }
  return ours;
}
