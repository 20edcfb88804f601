// Starts and stops the service that runs commands in machines for users (machined-exec).
import type { Say } from "../apply.ts";
import { EXEC_SERVICE, EXEC_SOCKET } from "../layout/exec.ts";
import type { Run } from "../run-command.ts";

/** Starts the socket. To be called after systemd has loaded the units. Commands that run continue. */
export function startExec(say: Say, command: Run): void {
  if (command("systemctl", "start", EXEC_SOCKET).code !== 0)
    say(`${EXEC_SOCKET} could not be started; it starts with the next boot`);
}

/**
 * Stops socket and service. To be called before their files are removed, because systemd does not remove the socket of
 * a unit whose file is missing. Commands that run get SIGHUP.
 */
export function stopExec(command: Run): void {
  command("systemctl", "stop", EXEC_SOCKET, EXEC_SERVICE);
}
