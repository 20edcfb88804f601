// Puts the installed transfer daemon in the place of the running one, and back. It is started by the first call, so it is
// enough to end the other one; one that has transfers under way is left alone until it ends by itself.
import type { Say } from "./apply.ts";
import type { Run } from "./takeover.ts";

const SERVICE = "systemd-importd.service";
const SOCKET = "systemd-importd.socket";

/** After the files are there and systemd has read them. */
export function takeOverImports(ownSocket: boolean, say: Say, command: Run): void {
  if (!endIdle(say, command) || !ownSocket) return;
  if (command("systemctl", "is-active", "--quiet", SOCKET).code === 0) return;
  // A call over the bus may have started the service again, and then its socket cannot start: at the next boot it does.
  if (command("systemctl", "start", SOCKET).code !== 0) say(`${SOCKET} starts with the next boot`);
}

/** Before the files go: a socket unit without its file would leave its socket behind. */
export function stopOwnImportSocket(command: Run): void {
  command("systemctl", "stop", SOCKET);
}

/** After files are removed and systemd has reloaded, the next call starts the distribution's daemon, if installed. */
export function giveBackImports(say: Say, command: Run): void {
  endIdle(say, command);
}

/** Ends the running daemon unless transfers run; returns false if it continues. */
function endIdle(say: Say, command: Run): boolean {
  if (command("systemctl", "is-active", "--quiet", SERVICE).code !== 0) return true;
  const manager = ["org.freedesktop.import1", "/org/freedesktop/import1", "org.freedesktop.import1.Manager"];
  const { code, output } = command("busctl", "--json=short", "call", ...manager, "ListTransfers");
  if (code === 0 && transferCount(output) > 0) {
    say(`${SERVICE} has transfers under way: the new one comes when they are done, or at 'systemctl stop ${SERVICE}'`);
    return false;
  }
  command("systemctl", "stop", SERVICE);
  return true;
}

function transferCount(output: string): number {
  try {
    const reply: { data?: unknown[][] } = JSON.parse(output);
    return reply.data?.[0]?.length ?? 0;
  } catch {
    return 0;
  }
}
