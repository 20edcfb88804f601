// A new terminal for a command. The child process of the command opens it in the machine's devpts, where programs of
// the machine find it by its name, and sends its master through a socket to the process that forwards it: pty(7),
// SCM_RIGHTS in unix(7).

import { ErrnoError } from "../base/error.ts";
import { copyStandard, replaceStandard } from "../kernel/file/fd.ts";
import { changeOwner } from "../kernel/file/ownership.ts";
import type { PidRef } from "../kernel/process/pidref.ts";
import { openProcessLink } from "../kernel/process/process-link.ts";
import { sendMessage } from "../kernel/socket/unix.ts";
import { unlessSyscallError } from "../kernel/syscall/sys.ts";
import { openPty, openPtyAt, openPtyPeer, type Pty, setWindowSize, type WindowSize } from "../kernel/terminal/pty.ts";
import { openPathCached } from "../registry/machine/open-cached.ts";

/**
 * Opens a terminal in the machine's devpts; in this host's where the machine has none or another file system in its
 * place.
 */
function openTerminal(leader: PidRef): Pty {
  const open = () => {
    using root = openProcessLink(leader.pid, "root", "path");
    using multiplexer = openPathCached({ leader, isHost: false }, root, "/dev/pts/ptmx");
    return multiplexer === null ? null : openPtyAt(multiplexer);
  };
  return unlessSyscallError(() => leader.verified(open), null) ?? openPty();
}

/**
 * Opens a new terminal, sends its master through our standard input, a socket, and makes the terminal our descriptors 0
 * to 2. It is owned by the user `owner` of this host (null: unchanged), so that the command can open it by its name.
 * Throws EPIPE where the socket is closed.
 */
export function takeTerminal(leader: PidRef, owner: number | null, size: WindowSize | null): void {
  using socket = copyStandard(0);
  const { master } = openTerminal(leader);
  using _master = master;
  // The process that forwards the terminal sets the size too, but perhaps only after the command has begun.
  if (size !== null) setWindowSize(master, size);
  using terminal = openPtyPeer(master);
  if (owner !== null) changeOwner(terminal, owner, "keep");
  if (sendMessage(socket, Buffer.from("t"), [master]) < 1) {
    throw new ErrnoError("EPIPE", "Cannot send the terminal of the command: the caller has closed its socket");
  }
  for (const number of [0, 1, 2] as const) replaceStandard(number, terminal);
}
