// machined install: installs the running executable on a host, with the files of install/ that the host lacks.

import { statSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { programPath } from "../kernel/process/program-path.ts";
import { print, printError } from "../kernel/terminal/print.ts";
import { apply, describe, type Say, takeAway } from "./apply.ts";
import { parseArguments } from "./arguments.ts";
import { look } from "./disk.ts";
import { describeDivert, divert, mendDiversions, undivert } from "./divert.ts";
import { SetupError } from "./error.ts";
import { INSTALL_HELP } from "./help.ts";
import { Host } from "./host.ts";
import type { Init } from "./init/init.ts";
import { initOn, refusalOn } from "./init/inits.ts";
import {
  disableServices,
  enableServices,
  enablingCommands,
  removeState,
  startServices,
  stopServices,
} from "./init/takeover.ts";
import { EXEC_SOCKET_UNIT } from "./layout/exec.ts";
import { IMPORT_SOCKET_UNIT } from "./layout/import.ts";
import { DAEMON, layout, MACHINECTL, PROGRAM, SOCKET_UNIT, UNIT } from "./layout/machined.ts";
import { type Made, readManifest } from "./manifest.ts";
import { describeRenewNss, installNss, renewNss, uninstallNss } from "./nss.ts";
import { isPackaged } from "./packaged.ts";
import { type Plan, plan } from "./plan.ts";
import { type Run, run } from "./run-command.ts";
import { startExec, stopExec } from "./takeover/exec.ts";
import { renewFleet } from "./takeover/fleet.ts";
import { takeOverImports } from "./takeover/import.ts";
import { giveBack, isActive, stopOwnSocket, takeOver } from "./takeover/machined.ts";
import { stopMetrics } from "./takeover/metrics.ts";

interface InstallOptions {
  readonly host: Host;
  /** The executable to install. */
  readonly source: string;
  /** Whether to start the new daemons now. */
  readonly now: boolean;
  /** Whether to add the NSS module to nsswitch.conf, and to install the module if it is missing. */
  readonly nss?: boolean;
  /** Whether to keep files that were changed or removed since the last installation, and files of others in the way. */
  readonly keepChanges?: boolean;
  /** Whether to replace the distribution's clients in /usr/bin by links. */
  readonly diverts?: boolean;
  readonly dryRun: boolean;
  readonly say: Say;
  readonly command?: Run;
}

/** The entry point of the program; returns the exit status. */
export async function main(args: string[]): Promise<number> {
  const parsed = parseArguments(
    "install",
    ["--now", "--nss", "--keep-changes", "--divert", "--dry-run"],
    args,
    INSTALL_HELP,
  );
  if (typeof parsed === "number") return parsed;
  try {
    const host = new Host(parsed.root);
    if (!Bun.main.startsWith("/$bunfs/")) {
      throw new SetupError("Only the built executable can install itself: run 'npm run build' and use dist/machined");
    }
    const now = parsed.flags.has("--now");
    const dryRun = parsed.flags.has("--dry-run");
    if (host.isLive && !dryRun && process.getuid?.() !== 0)
      throw new SetupError("Only root can install on the running host; --root=DIR installs into a directory");
    const nss = parsed.flags.has("--nss");
    const keepChanges = parsed.flags.has("--keep-changes");
    const say = (line: string) => void print(`${line}\n`);
    const diverts = parsed.flags.has("--divert");
    install({ host, source: process.execPath, now, nss, keepChanges, diverts, dryRun, say });
    return 0;
  } catch (error) {
    if (!(error instanceof SetupError)) throw error;
    printError(`machined install: ${error.message}\n`);
    return 1;
  }
}

/** Installs, or with `dryRun` only prints what would be done. Throws a SetupError. */
export function install(options: InstallOptions): void {
  const { host, source, now, nss = false, keepChanges = false, diverts = false, dryRun, say, command = run } = options;
  if (now && !host.isLive)
    throw new SetupError("--now cannot be used with --root=: it starts daemons of the running host");
  const earlier = readManifest(host);
  const init = initOn(host);
  const program = isPackaged(source) ? source : PROGRAM;
  const refusal = refusalOn(host, dirname(program));
  if (now && !dryRun && refusal !== null)
    throw new SetupError(`${refusal}. Without --now, everything else is installed`);
  const planned = plan(host, layout(host, source), source, { earlier, keepChanges });
  if (dryRun) {
    describe(host, planned, say);
    if (init !== null) for (const words of enablingCommands(init, host)) say(`would run ${words.join(" ")}`);
    if (refusal !== null) say(refusal);
    if (diverts) describeDivert(host, say);
    describeRenewNss(host, say);
    if (nss) say("would change /etc/nsswitch.conf, and install the NSS module if it is missing");
    return;
  }
  if (planned.steps.some((step) => step.wanted.kind === "program" && step.action !== "keep")) {
    host.requireSpace(PROGRAM, statSync(source).size);
  }
  apply(host, planned, source, say);
  renewNss(host, say);
  if (nss) installNss(host, say);
  if (diverts) divert(host, program, say, command);
  else mendDiversions(host, program, say, command);
  const found = host.isLive ? programPath("machinectl") : null;
  // A package manager calls this with a PATH of its own.
  if (found !== null && found !== MACHINECTL && !keepChanges)
    say(`Note: '${found}' precedes '${MACHINECTL}' in your PATH`);
  if (init !== null) serveOrGoBack({ init, host, planned, earlier, now }, say, command);
  else if (refusal !== null) say(refusal);
  else if (!host.hasSystemd) say(`This host does not boot systemd. Start the daemon with '${DAEMON}'`);
  else if (!now) say("The new daemon starts with the next boot, or now with 'machined install --now'");
  else if (!host.runsSystemd) say(`systemd does not run on this host. Start the daemon with '${DAEMON}'`);
  else if (isLeft(planned, UNIT) && isMasked(host)) {
    say("systemd-machined.service is masked and stays masked");
  } else if (isLeft(planned, UNIT) && look(host.locate(UNIT)) === null) {
    say("systemd-machined.service was removed and stays removed: 'machined install --now' makes it again");
  } else takeOverOrGoBack({ host, planned, earlier, program }, say, command);
}

/** Whether the plan leaves a path as it is: with a file of others or a changed file, or without a file. */
function isLeft({ steps }: Plan, path: string): boolean {
  return steps.some(({ made, action }) => made.path === path && action === "leave");
}

function isMasked(host: Host): boolean {
  const unit = look(host.locate(UNIT));
  return unit?.kind === "link" && unit.target === "/dev/null";
}

/** Parameters of serveOrGoBack(). */
interface Services {
  readonly init: Init;
  readonly host: Host;
  readonly planned: Plan;
  readonly earlier: readonly Made[];
  readonly now: boolean;
}

/**
 * Enables the services of an init other than systemd and, with --now, starts them. If that fails in a first
 * installation, everything is removed again.
 */
function serveOrGoBack({ init, host, planned, earlier, now }: Services, say: Say, command: Run): void {
  try {
    enableServices(init, host, command);
    if (now) startServices(init, changesNothing(planned), say, command);
    else say(`${init.name} starts the daemons with the next boot, or now with 'machined install --now'`);
  } catch (error) {
    if (earlier.length > 0) throw error;
    if (host.isLive) stopServices(init, host, say, command);
    removeState(init, host);
    takeAllAway(host, planned, command);
    disableServices(init, host, () => {}, command);
    throw undone(error);
  }
}

/** Removes everything that was installed; diversions and the NSS module only if there are records of them. */
function takeAllAway(host: Host, planned: Plan, command: Run): void {
  undivert(host, () => {}, command);
  uninstallNss(host, () => {});
  takeAway(host, planned.made, () => {});
}

function changesNothing({ leftovers, steps }: Plan): boolean {
  return leftovers.length === 0 && steps.every(({ action }) => action === "keep" || action === "leave");
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Returns the error of a first installation that has been removed again. */
function undone(error: unknown): SetupError {
  return new SetupError(`${textOf(error)}\nEverything is as it was before`, { cause: error });
}

/** Parameters of takeOverOrGoBack(). */
interface Installation {
  readonly host: Host;
  readonly planned: Plan;
  readonly earlier: readonly Made[];
  readonly program: string;
}

/**
 * Starts the daemons in place of the running ones. If that fails in a first installation, everything is removed again
 * and the distribution's daemon is started, so that the host is not left without one.
 */
function takeOverOrGoBack({ host, planned, earlier, program }: Installation, say: Say, command: Run): void {
  /** Whether a socket unit was installed and is enabled: --keep-changes leaves one disabled or removed. */
  const isEnabled = (path: string) => {
    const enabling = join(dirname(path), "sockets.target.wants", basename(path));
    return planned.made.some((made) => made.path === path) && host.has(path) && host.has(enabling);
  };
  const ownSocket = isEnabled(SOCKET_UNIT);
  const isUnchanged = changesNothing(planned);
  const wasActive = isActive(command);
  try {
    takeOver({ program, isUnchanged, ownSocket }, say, command);
    // Also where the first one runs already: an interrupted installation may have replaced only that.
    takeOverImports({ program, isUnchanged, ownSocket: isEnabled(IMPORT_SOCKET_UNIT) }, say, command);
    if (isEnabled(EXEC_SOCKET_UNIT)) startExec(say, command);
    renewFleet(say, command);
  } catch (error) {
    if (earlier.length > 0) throw error;
    if (ownSocket) stopOwnSocket(command);
    stopExec(command);
    stopMetrics(command);
    takeAllAway(host, planned, command);
    try {
      giveBack(wasActive, () => {}, command);
    } catch (second) {
      throw new SetupError(`${textOf(error)}\nThe files are removed again, but: ${textOf(second)}`, { cause: error });
    }
    throw undone(error);
  }
}
