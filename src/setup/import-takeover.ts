// Replaces the running transfer daemon by the installed one, and the reverse. The first call starts the daemon, so it
// is enough to stop the running one. One with active transfers is not stopped; it ends itself when they are done.
import type { Say } from "./apply.ts";
import type { Run } from "./takeover.ts";

const SERVICE = "systemd-importd.service";
const SOCKET = "systemd-importd.socket";

/**
 * Replaces the daemon. To be called after systemd has loaded the units; `ownSocket`: the socket unit was installed,
 * too.
 */
export function takeOverImports(ownSocket: boolean, say: Say, command: Run): void {
  if (!endIdle(say, command) || !ownSocket) return;
  if (command("systemctl", "is-active", "--quiet", SOCKET).code === 0) return;
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

/** Stops the running daemon unless transfers run; returns false if it continues. */
function endIdle(say: Say, command: Run): boolean {
  if (command("systemctl", "is-active", "--quiet", SERVICE).code !== 0) return true;
  const manager = ["org.freedesktop.import1", "/org/freedesktop/import1", "org.freedesktop.import1.Manager"];
  const { code, output } = command("busctl", "--json=short", "call", ...manager, "ListTransfers");
  if (code === 0 && transferCount(output) > 0) {
    say(`${SERVICE} has active transfers: it is replaced when they are done, or after 'systemctl stop ${SERVICE}'`);
    return false;
  }
  command("systemctl", "stop", SERVICE);
  return true;
}

/** Returns the number of transfers in a reply of ListTransfers() as busctl(1) prints it. */
function transferCount(output: string): number {
  try {
    const reply: { data?: unknown[][] } = JSON.parse(output);
    return reply.data?.[0]?.length ?? 0;
  } catch {
    return 0;
  }
}
