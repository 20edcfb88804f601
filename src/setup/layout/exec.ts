// The files of the service that runs commands in machines for users (machined-exec), and their places on a host.
import { join } from "node:path";
import execService from "../../../install/systemd/machined-exec.service" with { type: "text" };
import execSocket from "../../../install/systemd/machined-exec.socket" with { type: "text" };
import type { Wanted } from "../wanted.ts";

const UNITS = "/etc/systemd/system";
export const EXEC_SERVICE = "machined-exec.service";
export const EXEC_SOCKET = "machined-exec.socket";

export const EXEC_SOCKET_UNIT = join(UNITS, EXEC_SOCKET);

/** Returns the programs, which are links to the executable. */
export function execPrograms(): Wanted[] {
  return ["machined-exec", "machined-rsh"].map((name) => {
    return { kind: "link", path: join("/usr/local/lib/machined", name), target: "machined" };
  });
}

/** Returns the units. */
export function execUnits(): Wanted[] {
  return [
    { kind: "file", path: join(UNITS, EXEC_SERVICE), text: execService },
    { kind: "file", path: EXEC_SOCKET_UNIT, text: execSocket },
    { kind: "link", path: join(UNITS, "sockets.target.wants", EXEC_SOCKET), target: EXEC_SOCKET_UNIT },
  ];
}
