// Replaces the running transfer daemon by the installed one, and the reverse. The first call starts the daemon, so it
// is enough to stop the running one. One with active transfers, or that cannot be asked, is not stopped; it ends itself
// when they are done.
import type { Say } from "../apply.ts";
import type { Run } from "../run-command.ts";
import { type Installed, listOf, runsProgram } from "./machined.ts";

const SERVICE = "systemd-importd.service";
const SOCKET = "systemd-importd.socket";

/**
 * Replaces the daemon, and starts its socket. Where an installation that has changed no file finds both as they have to
 * be, nothing is done. To be called after systemd has loaded the units.
 */
export function takeOverImports({ program, isUnchanged, ownSocket }: Installed, say: Say, command: Run): void {
  const isListening = () => command("systemctl", "is-active", "--quiet", SOCKET).code === 0;
  const isCurrent = isUnchanged && runsProgram(program, command, SERVICE);
  if (isCurrent && (!ownSocket || isListening())) return;
  if (!endIdle(say, command) || !ownSocket || isListening()) return;
  // If a call over the bus has started the service again, its socket cannot be started.
  if (command("systemctl", "start", SOCKET).code !== 0) {
    say(`${SOCKET} could not be started; it starts with the next boot`);
  }
}

/**
 * Stops the socket. To be called before its file is removed, because systemd does not remove the socket of a unit whose
 * file is missing.
 */
export function stopOwnImportSocket(command: Run): void {
  command("systemctl", "stop", SOCKET);
}

/**
 * Stops the daemon. To be called after the files were removed and systemd has reloaded its units; the next call then
 * starts the distribution's daemon, if there is one.
 */
export function giveBackImports(say: Say, command: Run): void {
  endIdle(say, command);
}

/**
 * Stops the running daemon unless transfers run, or unless it does not say whether they do; returns false if it
 * continues.
 */
function endIdle(say: Say, command: Run): boolean {
  if (command("systemctl", "is-active", "--quiet", SERVICE).code !== 0) return true;
  const transfers = listOf(command, "import1", "ListTransfers");
  if (transfers === null || transfers.length > 0) {
    const reason = transfers === null ? "did not say whether it has active transfers" : "has active transfers";
    say(`${SERVICE} ${reason}: it is replaced when they are done, or after 'systemctl stop ${SERVICE}'`);
    return false;
  }
  command("systemctl", "stop", SERVICE);
  return true;
}
