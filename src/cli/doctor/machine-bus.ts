// Whether a machine has a message bus, looked at by a child: its file systems may not answer, and its links must not lead out.
import { openInRoot, openPath, statFd } from "../../kernel/file/fd.ts";
import type { Session } from "../session/session.ts";
import { runOwnVerb } from "./learn.ts";

const SOCKET = "/run/dbus/system_bus_socket";

/** The hidden verb `doctor-bus`, in the child: exits 0 where the machine of a leader has the socket of a bus. */
export async function doctorBus(_session: Session, [leader = ""]: readonly string[]): Promise<number> {
  using root = openPath(`/proc/${Number(leader)}/root`, "path");
  try {
    using socket = openInRoot(root, SOCKET, "path");
    return statFd(socket).kind === "socket" ? 0 : 1;
  } catch {
    return 1; // nothing there, or a link that leads nowhere in the machine
  }
}

/** Has a child look for the bus in the machine of this leader. */
export async function hasMachineBus(leaderPid: number): Promise<boolean> {
  return (await runOwnVerb(["doctor-bus", String(leaderPid)])).code === 0;
}
