// What is opened of a machine's tree, whoever opens it: the daemon, or a worker on its behalf.
import { type Fd, readRegular, reopen, statFd } from "../kernel/file/fd.ts";
import { changeOwner } from "../kernel/file/ownership.ts";
import { type Identity, withIdentity } from "../kernel/process/namespace.ts";
import { connectThroughFd } from "../kernel/socket/unix.ts";
import { isErrno, SyscallError } from "../kernel/syscall/sys.ts";
import { openPtyAt, openPtyPeer } from "../kernel/terminal/pty.ts";

/** A directory, opened for reading; a multiplexer of terminals, of which a new master is made; a socket, connected to. */
export type OpenFileKind = "directory" | "terminal" | "socket";

/** Opens what `file` names, as `identity` where it matters who does. `EAGAIN`: the socket's queue is full at the moment. */
export function openAsKind(file: Fd, kind: OpenFileKind, identity: Identity): Fd {
  switch (kind) {
    case "directory":
      return reopen(file, "directory");
    case "socket":
      return withIdentity(identity, () => connectThroughFd(file));
    case "terminal":
      return openTerminal(file, identity);
  }
}

/** The terminal belongs to `identity` as if that had opened it (pts(4)). */
function openTerminal(multiplexer: Fd, identity: Identity): Fd {
  try {
    return withIdentity(identity, () => openPtyAt(multiplexer)).master;
  } catch (error) {
    if (!isErrno(error, "EACCES", "EPERM")) throw error;
  }
  // A multiplexer that only the privileged may open: the terminal is made by us and given to the machine's root.
  const { master } = openPtyAt(multiplexer);
  try {
    using peer = openPtyPeer(master);
    changeOwner(peer, identity.uid, "keep");
    return master;
  } catch (error) {
    master.close();
    throw error;
  }
}

/** The content of the regular file that `file` names. Errors as for `readRegular()`, and those of opening it. */
export function readBehind(file: Fd, limitBytes: number): Buffer {
  if (statFd(file).kind !== "regular") throw new SyscallError("read", "EBADF", undefined, "Not a regular file");
  using readable = reopen(file, "read");
  return readRegular(readable, limitBytes);
}
