// What of the service for commands in machines goes where on a host, and how it is started and ended.
import { join } from "node:path";
import execService from "../../install/systemd/machined-exec.service" with { type: "text" };
import execSocket from "../../install/systemd/machined-exec.socket" with { type: "text" };
import type { Say } from "./apply.ts";
import type { Wanted } from "./layout.ts";
import type { Run } from "./takeover.ts";

const UNITS = "/etc/systemd/system";
const SERVICE = "machined-exec.service";
const SOCKET = "machined-exec.socket";

export const EXEC_SOCKET_UNIT = join(UNITS, SOCKET);

/** The program: another name of the one executable. */
export function execProgram(): Wanted[] {
  return [{ kind: "link", path: "/usr/local/lib/machined/machined-exec", target: "machined" }];
}

export function execUnits(): Wanted[] {
  return [
    { kind: "file", path: join(UNITS, SERVICE), text: execService },
    { kind: "file", path: EXEC_SOCKET_UNIT, text: execSocket },
    { kind: "link", path: join(UNITS, "sockets.target.wants", SOCKET), target: EXEC_SOCKET_UNIT },
  ];
}

/** After the files are there and systemd has read them. Commands that run go on with the program that started them. */
export function startExec(say: Say, command: Run): void {
  if (command("systemctl", "start", SOCKET).code !== 0) say(`${SOCKET} starts with the next boot`);
}

/** Before the files go: a socket unit without its file would leave its socket behind. Commands that run are hung up. */
export function stopExec(command: Run): void {
  command("systemctl", "stop", SOCKET, SERVICE);
}
