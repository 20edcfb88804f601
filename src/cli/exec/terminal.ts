// `machinectl exec -t`: the command has a terminal of the machine, which is forwarded to ours.
import type { EnterRequest } from "../../exec/enter.ts";
import { type RunningCommand, startCommand } from "../../exec/run.ts";
import { type Fd, openInRoot, openPath } from "../../kernel/file/fd.ts";
import type { PidRef } from "../../kernel/process/pidref.ts";
import { SyscallError } from "../../kernel/syscall/sys.ts";
import { openPty, openPtyAt, openPtyPeer, type Pty } from "../../kernel/terminal/pty.ts";
import type { Session } from "../session/session.ts";
import { PtySession } from "../terminal/pty-forward.ts";

/** A terminal of the machine's own devpts, where programs in it find it by name; else one of this host. */
function openTerminal(leader: PidRef): Pty {
  try {
    return leader.verified(() => {
      using root = openPath(`/proc/${leader.pid}/root`, "path");
      using multiplexer = openInRoot(root, "/dev/pts/ptmx", "path");
      return openPtyAt(multiplexer);
    });
  } catch (error) {
    if (error instanceof SyscallError) return openPty();
    throw error;
  }
}

/** Runs the command on a terminal; returns its exit status, or the session's where a signal ended it. */
export async function execOnTerminal(session: Session, request: EnterRequest): Promise<number> {
  const { master } = openTerminal(request.leader);
  using peer = openPtyPeer(master);
  const command = startCommand(request, [peer, peer, peer]);
  peer.close();
  return forwardTerminal(session, master, command);
}

/** Forwards the command's terminal to ours until one of the two ends. */
export async function forwardTerminal(session: Session, master: Fd, command: RunningCommand): Promise<number> {
  const forward = new PtySession({ master, hangup: "ends", env: session.ports.env, finish: () => {} });
  const { end, status } = await forward.run();
  // Leaving the session hangs up, as closing a terminal does.
  if (end !== "hangup") command.kill(1);
  const exited = await command.exited;
  return status !== 0 ? status : exited;
}
