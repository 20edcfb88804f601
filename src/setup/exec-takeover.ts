// Starting and ending the service for commands in machines.
import type { Say } from "./apply.ts";
import { EXEC_SERVICE, EXEC_SOCKET } from "./exec-layout.ts";
import type { Run } from "./takeover.ts";

/** After the files are there and systemd has read them. Commands that run go on with the program that started them. */
export function startExec(say: Say, command: Run): void {
  if (command("systemctl", "start", EXEC_SOCKET).code !== 0) say(`${EXEC_SOCKET} starts with the next boot`);
}

/** Before the files go: a socket unit without its file would leave its socket behind. Commands that run are hung up. */
export function stopExec(command: Run): void {
  command("systemctl", "stop", EXEC_SOCKET, EXEC_SERVICE);
}
