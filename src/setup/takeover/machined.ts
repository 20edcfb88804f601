// Replaces the running systemd-machined by the installed one, and the reverse. Machines continue to run: their
// processes are in other units, and both daemons read their state from /run/systemd/machines.

import { readdirSync, readlinkSync, realpathSync } from "node:fs";
import { unlessNoFile, unlessNoProcess } from "../../base/absence.ts";
import { BROKER, BROKER_PATH } from "../../base/vocabulary/bus-peers.ts";
import type { Say } from "../apply.ts";
import { exists } from "../disk.ts";
import { SetupError } from "../error.ts";
import { TMPFILES, UNIT } from "../layout/machined.ts";
import { type Run, run } from "../run-command.ts";

const SERVICE = "systemd-machined.service";
const SOCKET = "systemd-machined.socket";

/** Runs a command and returns its standard output. Throws a SetupError if it fails. */
function must(command: Run, ...words: string[]): string {
  const { code, stdout, output } = command(...words);
  if (code !== 0) throw new SetupError(`'${words.join(" ")}' failed: ${output}`);
  return stdout;
}

/** Returns the names of the registered machines from their state files. */
function machineNames(): string[] {
  const directory = "/run/systemd/machines";
  if (!exists(directory)) return [];
  return readdirSync(directory).filter((name) => !name.startsWith("unit:") && !name.startsWith("."));
}

/**
 * Makes the bus broker (policy, activation) and then systemd (units) read their files again.
 *
 * The order and the call between avoid a deadlock of 25 seconds: after ReloadConfig, dbus-daemon looks up the groups of
 * its clients again, by a call to the distribution's systemd-machined among others (nss-mymachines). During a reload of
 * systemd, that daemon waits for systemd and does not answer. GetId makes dbus-daemon look up root's groups before the
 * reload.
 */
function reload(command: Run): void {
  const bus = [BROKER, BROKER_PATH, BROKER];
  // Fails on a host without a bus, which is no error: the daemon also has a private socket.
  command("busctl", "call", ...bus, "ReloadConfig");
  command("busctl", "call", ...bus, "GetId");
  must(command, "systemctl", "daemon-reload");
}

/** The installation that takes over. */
export interface Installed {
  /** The executable that the daemon has to run. */
  readonly program: string;
  /** Whether the installation has changed no file. */
  readonly isUnchanged: boolean;
  /** Whether the socket unit was installed, because the distribution has none. */
  readonly ownSocket: boolean;
}

/** Starts the new daemon in place of the old one, unless it runs already. Throws a SetupError. */
export function takeOver(installed: Installed, say: Say, command: Run = run): void {
  const before = machineNames();
  reload(command);
  const fragment = must(command, "systemctl", "show", "--property=FragmentPath", "--value", SERVICE);
  if (fragment !== UNIT) {
    throw new SetupError(`'${fragment}' takes precedence over '${UNIT}': remove it and run this again`);
  }
  if (installed.isUnchanged && runsProgram(installed.program, command)) {
    say(`${SERVICE} runs already`);
    return;
  }
  if (exists(TMPFILES)) command("systemd-tmpfiles", "--create", TMPFILES);
  if (installed.ownSocket && command("systemctl", "is-active", "--quiet", SOCKET).code !== 0) startWithSocket(command);
  else start(command, "restart");
  sayKept(before, say, command);
}

/**
 * Whether the running daemon executes the installed file, and not one that has been replaced since. /usr/local may be a
 * link, as with ostree.
 */
export function runsProgram(program: string, command: Run, service = SERVICE): boolean {
  return runningProgram(command, service) === unlessNoFile(() => realpathSync(program), program);
}

/** Whether the running daemon executes a file of an installation that was removed since. */
export function runsRemoved(command: Run): boolean {
  return /\/machined \(deleted\)$/.test(runningProgram(command));
}

/** Returns the path of the executable of a running service; "" where it does not run. */
export function runningProgram(command: Run, service = SERVICE): string {
  const pid = command("systemctl", "show", "--property=MainPID", "--value", service).stdout;
  return unlessNoProcess(() => (pid === "0" ? "" : readlinkSync(`/proc/${pid}/exe`)), "");
}

/**
 * Starts the socket and then the service. systemd does not start a socket whose service runs, and a call over the bus
 * may start the service at any moment, so the start is tried several times.
 */
function startWithSocket(command: Run): void {
  for (let attempt = 0; attempt < 5; attempt++) {
    must(command, "systemctl", "stop", SERVICE);
    if (command("systemctl", "start", SOCKET).code !== 0) continue;
    start(command, "start");
    return;
  }
  throw new SetupError(`${SOCKET} did not start: see 'systemctl status ${SOCKET}'`);
}

/** Starts the daemon. Resets its start counter first, so that repeated installations do not reach the start limit. */
function start(command: Run, verb: "start" | "restart"): void {
  command("systemctl", "reset-failed", SERVICE);
  if (command("systemctl", verb, SERVICE).code === 0) return;
  const { output } = command("journalctl", `--unit=${SERVICE}`, "--lines=10", "--no-pager", "--output=cat");
  throw new SetupError(`${SERVICE} did not start. The last lines of its journal:\n${output}`);
}

/** Prints how many of the machines that were registered before are still registered. */
function sayKept(before: readonly string[], say: Say, command: Run): void {
  const after = listMachines(command);
  const lost = before.filter((name) => !after.includes(name));
  const pid = command("systemctl", "show", "--property=MainPID", "--value", SERVICE).stdout;
  const kept = before.length - lost.length;
  say(`${SERVICE} runs as process ${pid}, ${kept === 1 ? "1 machine" : `${kept} machines`} kept`);
  // Not an error, because a machine may end by itself during the replacement.
  if (lost.length > 0) say(`no longer registered: ${lost.join(", ")}`);
}

/** Returns the machines that the running daemon lists; those of the state files where it cannot be asked. */
function listMachines(command: Run): string[] {
  const rows = listOf(command, "machine1", "ListMachines");
  return rows === null ? machineNames() : rows.map((row) => (Array.isArray(row) ? String(row[0]) : ""));
}

/**
 * Calls a method of a manager that returns an array; returns its items, null where busctl(1) fails or prints no such
 * reply.
 */
export function listOf(command: Run, service: "machine1" | "import1", method: string): unknown[] | null {
  const manager = [`org.freedesktop.${service}`, `/org/freedesktop/${service}`, `org.freedesktop.${service}.Manager`];
  const { code, stdout } = command("busctl", "--json=short", "call", ...manager, method);
  if (code !== 0) return null;
  try {
    const reply: { data?: unknown } | null = JSON.parse(stdout);
    const [items] = Array.isArray(reply?.data) ? reply.data : [];
    return Array.isArray(items) ? items : null;
  } catch {
    return null;
  }
}

/**
 * Stops the socket. To be called before its file is removed, because systemd does not remove the socket of a unit whose
 * file is missing, and the next daemon could not bind it.
 */
export function stopOwnSocket(command: Run = run): void {
  command("systemctl", "stop", SOCKET);
}

/**
 * Starts the distribution's daemon if the daemon was active; otherwise, or if there is none, stops the running one. To
 * be called after the files were removed.
 */
export function giveBack(wasActive: boolean, say: Say, command: Run = run): void {
  const before = machineNames();
  reload(command);
  const fragment = must(command, "systemctl", "show", "--property=FragmentPath", "--value", SERVICE);
  if (fragment === "" || !wasActive) {
    command("systemctl", "stop", SERVICE);
    command("systemctl", "reset-failed", SERVICE);
    say(fragment === "" ? `${SERVICE} ended: this host has no other` : `${SERVICE} is not running, as before`);
    return;
  }
  start(command, "restart");
  sayKept(before, say, command);
}

/** Whether the service is active. */
export function isActive(command: Run = run): boolean {
  return command("systemctl", "is-active", "--quiet", SERVICE).code === 0;
}
