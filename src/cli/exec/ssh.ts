// `machinectl exec` over ssh(1): in virtual machines, and on other hosts. OpenSSH does the rest: keys, passwords, streams.

import { Failure } from "../session/failure.ts";
import type { Session } from "../session/session.ts";
import { parseRemote } from "../session/target.ts";
import { EXIT_OURS, type ExecOrder, sameExec } from "./order.ts";

/** A word as the shell at the other end reads it back. */
function shellQuoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

/** The options of systemd-run(1) for the order; null where it cannot do what the order wants. */
function systemdRunWords({ settings }: Session, { machine, user, command }: ExecOrder): string[] | null {
  if (settings.detach || settings.timeoutMs > 0) return null;
  return [
    ...["systemd-run", "--quiet", "--wait", "--collect", settings.tty ? "--pty" : "--pipe"],
    ...[`--machine=${machine}`, `--uid=${user || "root"}`],
    ...(settings.directory === null ? [] : [`--working-directory=${settings.directory}`]),
    ...settings.environment.map((assignment) => `--setenv=${assignment}`),
    "--",
    ...command,
  ];
}

/**
 * A script for the other host: `machinectl exec` where that is known, else systemd-run(1), which every host with systemd has.
 * Exported for its test.
 */
export function remoteScript(session: Session, order: ExecOrder): string {
  const { machine, user, command } = order;
  const place = user === "" ? machine : `${user}@${machine}`;
  const ours = ["machinectl", "exec", ...sameExec(session), "--", place, ...command];
  const stock = systemdRunWords(session, order);
  const otherwise =
    stock === null
      ? `echo ${shellQuoted(`The machinectl of this host has no exec, and without it there is no --timeout= and no --detach`)} >&2; exit ${EXIT_OURS}`
      : `exec ${stock.map(shellQuoted).join(" ")}`;
  const knows = "machinectl --help 2>/dev/null | grep -q '^  exec '";
  return `if ${knows}; then exec ${ours.map(shellQuoted).join(" ")}; fi; ${otherwise}`;
}

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

/** Runs the order on the host that -H names. */
export async function execOnHost(session: Session, order: ExecOrder): Promise<number> {
  const { transport } = session.settings;
  if (transport.kind !== "remote") throw new TypeError("no other host");
  const target = parseRemote(transport.host);
  if (target.kind !== "ssh" || target.machine !== undefined) {
    throw new Failure(`exec needs a host after -H, not '${transport.host}'`);
  }
  const port = target.port === undefined ? [] : ["-p", target.port];
  // The login shell of the other end may be any, so that it gets three words.
  const command = ["sh", "-c", remoteScript(session, order)].map(shellQuoted).join(" ");
  return ssh(session, [...port, "--", target.host], command);
}

/** Returns what the shell of a virtual machine is told for an order. Exported for its test. */
export function guestScript({ settings }: Session, { command }: ExecOrder): string {
  if (settings.detach)
    throw new Failure("--detach is for containers: a command in a virtual machine ends with its connection");
  const words = [
    ...(settings.environment.length === 0 ? [] : ["env", ...settings.environment]),
    ...(settings.timeoutMs > 0 ? ["timeout", String(Math.ceil(settings.timeoutMs / 1000))] : []),
    ...command,
  ];
  const directory = settings.directory === null ? "" : `cd ${shellQuoted(settings.directory)} && `;
  return `${directory}${words.map(shellQuoted).join(" ")}`;
}

/** Runs the order in a virtual machine, at the address that it was registered with: `vsock/CID`, a name or an address. */
export async function execInVirtualMachine(session: Session, order: ExecOrder, address: string): Promise<number> {
  return ssh(session, ["--", `${order.user || "root"}@${address}`], guestScript(session, order));
}
