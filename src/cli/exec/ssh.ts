// `machinectl exec` over ssh(1): in virtual machines, and on other hosts. OpenSSH does the rest: keys, passwords, streams.

import { Failure } from "../session/failure.ts";
import type { Session } from "../session/session.ts";
import { parseRemote } from "../session/target.ts";
import type { ExecOrder } from "./order.ts";

/** A word as the shell at the other end reads it back. */
function shellQuoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

/** `machinectl exec` of the other host where it knows the verb, else systemd-run, which every host with systemd has. */
const REMOTE = `if machinectl exec --help >/dev/null 2>&1; then exec machinectl exec "$@"; fi
while :; do case $1 in --) shift; break;; --*) shift;; *) break;; esac; done
machine=$1 user=root; shift
case $machine in *@*) user=\${machine%@*} machine=\${machine##*@};; esac
exec systemd-run --quiet --machine="$machine" --uid="$user" --pipe --wait --collect -- "$@"`;

async function ssh(session: Session, args: readonly string[], command: string): Promise<number> {
  const { settings, ports } = session;
  const program = ports.env["SYSTEMD_SSH"] || "ssh";
  if (Bun.which(program) === null)
    throw new Failure(`'${program}' is not installed, and the machine is reached over ssh`);
  const stdio: ["inherit" | "ignore", "inherit", "inherit"] = [
    settings.stdin ? "inherit" : "ignore",
    "inherit",
    "inherit",
  ];
  const child = Bun.spawn([program, settings.tty ? "-t" : "-T", ...args, command], { stdio });
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => child.kill(signal));
  return child.exited;
}

function remoteWords({ settings }: Session, { machine, user, command }: ExecOrder): string[] {
  return [
    ...(settings.directory === null ? [] : [`--chdir=${settings.directory}`]),
    ...settings.environment.map((assignment) => `--setenv=${assignment}`),
    ...(settings.timeoutMs > 0 ? [`--timeout=${settings.timeoutMs}ms`] : []),
    ...(settings.tty ? ["-t"] : []),
    ...(settings.detach ? ["--detach"] : []),
    "--",
    user === "" ? machine : `${user}@${machine}`,
    ...command,
  ];
}

/** Runs the order on the host that -H names. */
export async function execOnHost(session: Session, order: ExecOrder): Promise<number> {
  const { transport } = session.settings;
  if (transport.kind !== "remote") throw new TypeError("no other host");
  const target = parseRemote(transport.host);
  if (target.kind !== "ssh" || target.machine !== undefined) {
    throw new Failure(`exec needs a host after -H, not '${transport.host}'`);
  }
  const port = target.port === undefined ? [] : ["-p", target.port];
  const words = ["sh", "-c", REMOTE, "machinectl", ...remoteWords(session, order)];
  return ssh(session, [...port, "--", target.host], words.map(shellQuoted).join(" "));
}

/** Runs the order in a virtual machine, at the address that it was registered with: `vsock/CID`, a name or an address. */
export async function execInVirtualMachine(session: Session, order: ExecOrder, address: string): Promise<number> {
  const { settings } = session;
  const destination = `${order.user || "root"}@${address}`;
  const directory =
    settings.directory === null
      ? []
      : ["cd", settings.directory, "&&"].map((word) => (word === "&&" ? word : shellQuoted(word)));
  const environment = settings.environment.length === 0 ? [] : ["env", ...settings.environment].map(shellQuoted);
  const words = [...directory, ...environment, ...order.command.map(shellQuoted)];
  return ssh(session, ["--", destination], words.join(" "));
}
