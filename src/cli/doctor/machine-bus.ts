// Finds out whether a machine has a message bus. A child process accesses the machine's files, because its file systems
// may not respond; symbolic links are resolved below the machine's root.
import { unlessNoFile } from "../../base/absence.ts";
import { openInRoot, openPath, statFd } from "../../kernel/file/fd.ts";
import type { Session } from "../session/session.ts";
import { runOwnVerb } from "./learn.ts";

const SOCKET = "/run/dbus/system_bus_socket";

/**
 * The hidden verb `doctor-bus`, which the child runs: returns 0 if the machine with that leader has the socket of a
 * bus.
 */
export async function doctorBus(_session: Session, [leader = ""]: readonly string[]): Promise<number> {
  using root = openPath(`/proc/${Number(leader)}/root`, "path");
  return unlessNoFile(() => {
    using socket = openInRoot(root, SOCKET, "path");
    return statFd(socket).kind === "socket" ? 0 : 1;
  }, 1);
}

/** Whether the machine with that leader has the socket of a bus. */
export async function hasMachineBus(leaderPid: number): Promise<boolean> {
  return (await runOwnVerb(["doctor-bus", String(leaderPid)])).code === 0;
}
