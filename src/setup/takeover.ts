// Replaces the running daemon by the installed one, and the reverse. Machines keep running both ways:
// they live in units of their own, and what is known about them stands in /run/systemd/machines, which both read.

import { existsSync, readdirSync, readlinkSync } from "node:fs";
import type { Say } from "./apply.ts";
import { TMPFILES, UNIT } from "./layout.ts";
import { SetupError } from "./setup-error.ts";

const SERVICE = "systemd-machined.service";
const SOCKET = "systemd-machined.socket";

/** Runs a command to its end. A seam for tests, which have no systemd. */
export type Run = (...command: string[]) => { readonly code: number; readonly output: string };

export const run: Run = (...command) => {
  const [name = ""] = command;
  if (Bun.which(name) === null) return { code: 127, output: `${name} is not installed` };
  const child = Bun.spawnSync(command, {
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
    env: { ...process.env, SYSTEMD_PAGER: "" },
  });
  return { code: child.exitCode, output: `${child.stdout}${child.stderr}`.trim() };
};

function must(command: Run, ...words: string[]): string {
  const { code, output } = command(...words);
  if (code !== 0) throw new SetupError(`'${words.join(" ")}' failed: ${output}`);
  return output;
}

/** Names of the registered machines, as the state files have them. */
function machineNames(): string[] {
  const directory = "/run/systemd/machines";
  if (!existsSync(directory)) return [];
  return readdirSync(directory).filter((name) => !name.startsWith("unit:") && !name.startsWith("."));
}

/**
 * Both managers are told that files have changed: the bus (policy, activation) and then systemd (units). In this order,
 * and with a call between: after its reload dbus-daemon looks up the groups of its clients again, and one of those it
 * asks is the distribution's machined, which is deaf for the bus while it works off systemd's reload. The two would
 * wait for each other for 25 seconds. The call makes dbus-daemon look up root's groups while all is quiet.
 */
function reload(command: Run): void {
  const bus = ["org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus"];
  // A host without a running bus is fine: the daemon has sockets of its own.
  command("busctl", "call", ...bus, "ReloadConfig");
  command("busctl", "call", ...bus, "GetId");
  must(command, "systemctl", "daemon-reload");
}

/** What was installed. */
interface Installed {
  /** The executable that the daemon is to run. */
  readonly program: string;
  /** Whether every file was there already. */
  readonly isUnchanged: boolean;
  /** Whether the socket unit is ours. */
  readonly ownSocket: boolean;
}

/** Starts the new daemon in place of the old; returns false where the new one runs already. */
export function takeOver(installed: Installed, say: Say, command: Run = run): boolean {
  const before = machineNames();
  reload(command);
  const fragment = must(command, "systemctl", "show", "--property=FragmentPath", "--value", SERVICE);
  if (fragment !== UNIT) throw new SetupError(`'${fragment}' wins over '${UNIT}': remove it and run this again`);
  if (installed.isUnchanged && runsProgram(installed.program, command)) {
    say(`${SERVICE} runs already`);
    return false;
  }
  if (existsSync(TMPFILES)) command("systemd-tmpfiles", "--create", TMPFILES);
  if (installed.ownSocket && command("systemctl", "is-active", "--quiet", SOCKET).code !== 0) startWithSocket(command);
  else start(command, "restart");
  sayKept(before, say, command);
  return true;
}

/** Whether the running daemon is the installed executable, and not an earlier one that was renewed under it. */
function runsProgram(program: string, command: Run): boolean {
  const pid = command("systemctl", "show", "--property=MainPID", "--value", SERVICE).output;
  try {
    return pid !== "0" && readlinkSync(`/proc/${pid}/exe`) === program;
  } catch {
    return false;
  }
}

/** A socket unit cannot start while its service runs, and a call over the bus may start the service at any moment. */
function startWithSocket(command: Run): void {
  for (let attempt = 0; attempt < 5; attempt++) {
    must(command, "systemctl", "stop", SERVICE);
    if (command("systemctl", "start", SOCKET).code !== 0) continue;
    start(command, "start");
    return;
  }
  throw new SetupError(`${SOCKET} did not start: see 'systemctl status ${SOCKET}'`);
}

/** Starts the daemon after resetting its count of starts: repeated installations must not reach the start limit. */
function start(command: Run, verb: "start" | "restart"): void {
  command("systemctl", "reset-failed", SERVICE);
  if (command("systemctl", verb, SERVICE).code === 0) return;
  const { output } = command("journalctl", `--unit=${SERVICE}`, "--lines=10", "--no-pager", "--output=cat");
  throw new SetupError(`${SERVICE} did not start. The end of its journal:\n${output}`);
}

function sayKept(before: readonly string[], say: Say, command: Run): void {
  const after = listMachines(command);
  const lost = before.filter((name) => !after.includes(name));
  const pid = command("systemctl", "show", "--property=MainPID", "--value", SERVICE).output;
  const kept = before.length - lost.length;
  say(`${SERVICE} runs as process ${pid}, ${kept === 1 ? "1 machine" : `${kept} machines`} kept`);
  // A machine may end during the replacement without a fault; the names are listed for the administrator.
  if (lost.length > 0) say(`no longer registered: ${lost.join(", ")}`);
}

/** The machines that the running daemon lists; without a bus, those in its state files. */
function listMachines(command: Run): string[] {
  const manager = ["org.freedesktop.machine1", "/org/freedesktop/machine1", "org.freedesktop.machine1.Manager"];
  const { code, output } = command("busctl", "--json=short", "call", ...manager, "ListMachines");
  if (code !== 0) return machineNames();
  const reply: { data: string[][][] } = JSON.parse(output);
  return (reply.data[0] ?? []).map(([name = ""]) => name);
}

/** Before the files go: a socket unit without its file would leave its socket behind, in the way of the next daemon. */
export function stopOwnSocket(command: Run = run): void {
  command("systemctl", "stop", SOCKET);
}

/** After files are removed: starts the distribution's daemon, or stops the running one if none is installed. */
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

export function isActive(command: Run = run): boolean {
  return command("systemctl", "is-active", "--quiet", SERVICE).code === 0;
}
