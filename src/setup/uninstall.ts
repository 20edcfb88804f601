// machined uninstall: removes exactly what `machined install` has made, and with --now starts the distribution's
// daemon.

import { rmSync } from "node:fs";
import { basename } from "node:path";
import { print, printError } from "../kernel/terminal/print.ts";
import { describeRemoval, type Say, takeAway } from "./apply.ts";
import { parseArguments } from "./arguments.ts";
import { describeUndivert, undivert } from "./divert.ts";
import { isDiskFull, SetupError } from "./error.ts";
import { UNINSTALL_HELP } from "./help.ts";
import { Host } from "./host.ts";
import { initOn } from "./init/inits.ts";
import { disableServices, removeState, stopServices } from "./init/takeover.ts";
import { EXEC_SOCKET_UNIT } from "./layout/exec.ts";
import { FLEET_UNIT } from "./layout/fleet.ts";
import { IMPORT_SOCKET_UNIT } from "./layout/import.ts";
import { SOCKET_UNIT, UNIT } from "./layout/machined.ts";
import { METRICS_SOCKET_UNIT, TEXTFILE } from "./layout/metrics.ts";
import { removeLeftovers } from "./leftovers.ts";
import { type Made, readManifest } from "./manifest.ts";
import { describeUninstallNss, uninstallNss } from "./nss.ts";
import { type Run, run } from "./run-command.ts";
import { stopExec } from "./takeover/exec.ts";
import { stopFleet } from "./takeover/fleet.ts";
import { giveBackImports, stopOwnImportSocket } from "./takeover/import.ts";
import { giveBack, isActive, runsRemoved, stopOwnSocket } from "./takeover/machined.ts";
import { stopMetrics } from "./takeover/metrics.ts";

interface UninstallOptions {
  readonly host: Host;
  /** Whether to replace the running daemon now. */
  readonly now: boolean;
  readonly dryRun?: boolean;
  readonly say: Say;
  readonly command?: Run;
}

/** The entry point of the program; returns the exit status. */
export async function main(args: string[]): Promise<number> {
  const parsed = parseArguments("uninstall", ["--now", "--dry-run"], args, UNINSTALL_HELP);
  if (typeof parsed === "number") return parsed;
  try {
    const host = new Host(parsed.root);
    const dryRun = parsed.flags.has("--dry-run");
    if (host.isLive && !dryRun && process.getuid?.() !== 0)
      throw new SetupError("Only root can uninstall from the running host; --root=DIR uninstalls from a directory");
    const say = (line: string) => void print(`${line}\n`);
    uninstall({ host, now: parsed.flags.has("--now"), dryRun, say });
    return 0;
  } catch (error) {
    if (!(error instanceof SetupError)) throw error;
    printError(`machined uninstall: ${error.message}\n`);
    return 1;
  }
}

/** Uninstalls, or with `dryRun` only prints what would be done. Throws a SetupError. */
export function uninstall({ host, now, dryRun = false, say, command = run }: UninstallOptions): void {
  if (now && !host.isLive)
    throw new SetupError("--now cannot be used with --root=: it replaces daemons of the running host");
  const made = readManifest(host);
  if (made.length === 0) say("Nothing is installed");
  if (dryRun) {
    describeUndivert(host, say);
    describeUninstallNss(host, say);
    describeRemoval(host, made, say);
    return;
  }
  const has = (path: string) => made.some((one) => one.path === path);
  const hadUnit = has(UNIT) && host.runsSystemd;
  const wasActive = now && hadUnit && isActive(command);
  if (now && hadUnit && has(SOCKET_UNIT)) stopOwnSocket(command);
  if (now && hadUnit && has(IMPORT_SOCKET_UNIT)) stopOwnImportSocket(command);
  if (host.runsSystemd && has(EXEC_SOCKET_UNIT)) stopExec(command);
  if (host.runsSystemd && has(METRICS_SOCKET_UNIT)) stopMetrics(command);
  if (host.runsSystemd && has(FLEET_UNIT)) stopFleet(command);
  if (has(METRICS_SOCKET_UNIT)) removeTextfile(host);
  const init = initOn(host);
  const hasServices = init !== null && made.length > 0;
  // Before their scripts are removed, which are needed to stop them.
  if (hasServices && host.isLive) stopServices(init, host, say, command);
  if (hasServices) removeState(init, host);
  undivert(host, say, command);
  takeFilesAway(host, made, say);
  if (hasServices) {
    disableServices(init, host, say, command);
    removeLeftovers(host);
  }
  // After an uninstallation without --now, the daemons continue to run from a deleted executable.
  const isLeftOver = now && host.runsSystemd && made.length === 0 && runsRemoved(command);
  if (!hadUnit && !isLeftOver) return;
  if (isLeftOver) {
    // systemd names the missing file, or none after a daemon-reload, for which any package may be the reason.
    const isLoadedAlone = (unit: string) =>
      ["", unit].includes(command("systemctl", "show", "--property=FragmentPath", "--value", basename(unit)).stdout) &&
      !host.has(unit);
    if (isLoadedAlone(SOCKET_UNIT)) stopOwnSocket(command);
    if (isLoadedAlone(IMPORT_SOCKET_UNIT)) stopOwnImportSocket(command);
  }
  if (now) {
    giveBack(wasActive || isLeftOver, say, command);
    giveBackImports(say, command);
    removeLeftovers(host);
  } else {
    // Until then, systemd would start the removed executable, again and again.
    const byHand = "restarted by hand after 'systemctl daemon-reload'";
    say(`The running daemons continue until 'machined uninstall --now', or until they are ${byHand}`);
  }
}

/**
 * Removes the files, after nsswitch.conf is as it was before. On a full disk that cannot be written before the files
 * have made room for it.
 */
function takeFilesAway(host: Host, made: readonly Made[], say: Say): void {
  try {
    uninstallNss(host, say);
    takeAway(host, made, say);
  } catch (error) {
    if (!isDiskFull(error)) throw error;
    takeAway(host, made, say);
    uninstallNss(host, say);
    takeAway(host, made, () => {});
  }
}

/**
 * Removes the file of metrics, whose last values the node exporter would continue to export. One that a link of a tree
 * leads out to belongs to the running host.
 */
function removeTextfile(host: Host): void {
  try {
    rmSync(host.locate(TEXTFILE), { force: true });
  } catch (error) {
    if (!(error instanceof SetupError)) throw error;
  }
}
