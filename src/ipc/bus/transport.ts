// The transports to a D-Bus server: a socket of this host, a socket inside a machine, a session of a user, ssh(1) to
// another host (systemd-stdio-bridge(1)).
import { ErrnoError } from "../../base/error.ts";
import type { Fd } from "../../kernel/file/fd.ts";
import { connectUnix, endConnection, socketPair } from "../../kernel/socket/unix.ts";
import { busAddresses, unixAddressOf } from "./address.ts";
import { ChildErrors } from "./child-errors.ts";
import { ClientHandshake, type Handshake } from "./handshake.ts";
import { sshDestination, sshProgram } from "./ssh-options.ts";

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
  /** Whether ssh must not ask for a password, because several hosts are called at once. */
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
  /** The error output of the program that connects. */
  readonly errors?: ChildErrors;
}

/**
 * Opens the connection. Throws an error with errno: EHOSTDOWN where there is no such machine, ENOENT where it has no
 * bus.
 */
export async function openTransport(target: BusTarget): Promise<Transport> {
  switch (target.kind) {
    case "system":
    case "user":
      return { fd: connectBusOf(target.kind), handshake: new ClientHandshake(null, { sendsAhead: true }) };
    case "private":
      return { fd: connectUnix(target.path), peerToPeer: true };
    case "machine":
      if (target.name === ".host") return openTransport({ kind: "system" });
      return (await import("./machine-transport.ts")).openInMachine(target.name);
    case "login":
    case "ssh":
      return bridge(await bridgeCommand(target));
  }
}

/** Tries the addresses of a bus one after the other; throws the last failure. */
function connectBusOf(scope: "system" | "user"): Fd {
  let failure: unknown;
  for (const address of busAddresses(scope)) {
    try {
      return connectUnix(unixAddressOf(address));
    } catch (error) {
      failure = error;
    }
  }
  throw failure;
}

/** Returns the program that connects its standard input and output to a bus, with its arguments. */
export async function bridgeCommand(target: LoginTarget | SshTarget): Promise<string[]> {
  return target.kind === "ssh" ? sshCommand(target) : loginCommand(target);
}

/**
 * A script that connects to the system bus of the other host or, where it has none but has this program, to our
 * daemons.
 */
const BUS_OR_BRIDGE =
  "[ -S /run/dbus/system_bus_socket ] || ! command -v machined >/dev/null || exec machined bridge; exec systemd-stdio-bridge";

/**
 * The login shell of the other host may be no POSIX shell, so that it is asked for `sh` alone
 * (docs/decisions/0013-bridge.md).
 */
async function sshCommand(target: SshTarget): Promise<string[]> {
  const command =
    target.machine === undefined
      ? [`sh -c '${BUS_OR_BRIDGE}'`]
      : ["systemd-stdio-bridge", `--machine=${target.machine}`];
  return [sshProgram(), "-xT", ...(await sshDestination(target)), ...command];
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
function bridge(command: readonly string[]): Transport {
  const [fd, theirs] = socketPair();
  using other = theirs;
  const errors = new ChildErrors();
  try {
    // The current environment: variables that our own parent set for us have been removed from it.
    const child = Bun.spawn([...command], { stdio: [other.number, other.number, errors.stderr], env: process.env });
    child.unref();
    // What the program has started may hold the connection open when it has exited.
    void child.exited.then(() => fd.isOpen && endConnection(fd));
  } catch (error) {
    fd.close();
    errors.close();
    throw new ErrnoError("ENOENT", `Cannot run ${command[0]}`, { cause: error });
  }
  errors.follow();
  return { fd, errors };
}
