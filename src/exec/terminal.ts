// The terminal of a command. The child in which the command begins opens one in the machine, where programs find it by its name,
// and sends its master through a socket to whoever forwards it: pty(7), SCM_RIGHTS in unix(7).
import { ErrnoError } from "../base/error.ts";
import { copyStandard, openPath, replaceStandard } from "../kernel/file/fd.ts";
import { changeOwner } from "../kernel/file/ownership.ts";
import type { PidRef } from "../kernel/process/pidref.ts";
import { sendMessage } from "../kernel/socket/unix.ts";
import { SyscallError } from "../kernel/syscall/sys.ts";
import { openPty, openPtyAt, openPtyPeer, type Pty, setWindowSize, type WindowSize } from "../kernel/terminal/pty.ts";
import { openPathCached } from "../registry/machine/open-at-once.ts";

/** A terminal of the machine's own devpts; one of this host where it has none, or another file system in its place. */
function openTerminal(leader: PidRef): Pty {
  try {
    return leader.verified(() => {
      using root = openPath(`/proc/${leader.pid}/root`, "path");
      using multiplexer = openPathCached({ leader, isHost: false }, root, "/dev/pts/ptmx");
      return multiplexer === null ? openPty() : openPtyAt(multiplexer);
    });
  } catch (error) {
    if (error instanceof SyscallError) return openPty();
    throw error;
  }
}

/**
 * Sends the master of a new terminal through our standard input, a socket; the terminal is our descriptors 0 to 2 from then on.
 * It belongs to the user `owner` of this host, as after a login, so that the command can open it by its name.
 */
export function takeTerminal(leader: PidRef, owner: number | null, size: WindowSize | null): void {
  using socket = copyStandard(0);
  const { master } = openTerminal(leader);
  using _master = master;
  // Whoever forwards the terminal sets its size too, but while the command may be running already.
  if (size !== null) setWindowSize(master, size);
  using terminal = openPtyPeer(master);
  if (owner !== null) changeOwner(terminal, owner, "keep");
  if (sendMessage(socket, Buffer.from("t"), [master]) < 1) {
    throw new ErrnoError("EPIPE", "Nobody takes the terminal of the command");
  }
  for (const number of [0, 1, 2] as const) replaceStandard(number, terminal);
}
