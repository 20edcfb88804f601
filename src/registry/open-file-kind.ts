// The kinds of files that are opened in a machine's tree, by the daemon or by a worker on its behalf.

import { type Fd, reopen, statFd } from "../kernel/file/fd.ts";
import { changeOwner } from "../kernel/file/ownership.ts";
import { readRegular } from "../kernel/file/regular-file.ts";
import { type Identity, withIdentity } from "../kernel/process/namespace.ts";
import { connectThroughFd } from "../kernel/socket/unix.ts";
import { isErrno, SyscallError } from "../kernel/syscall/sys.ts";
import { openPtyAt, openPtyPeer } from "../kernel/terminal/pty.ts";

/** A directory is opened for reading; a terminal multiplexer is opened for a new master; a socket is connected to. */
export type OpenFileKind = "directory" | "terminal" | "socket";

/**
 * Opens the file that `file` names, as `identity` where that matters. Throws `EAGAIN` when the socket's queue is full.
 */
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

/** Opens a new terminal, which belongs to `identity` as if that user had opened it (pts(4)). */
function openTerminal(multiplexer: Fd, identity: Identity): Fd {
  try {
    return withIdentity(identity, () => openPtyAt(multiplexer)).master;
  } catch (error) {
    if (!isErrno(error, "EACCES", "EPERM")) throw error;
  }
  // Only privileged users may open the multiplexer: the daemon makes the terminal and changes its owner to the
  // machine's root.
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

/**
 * Returns the content of the regular file that `file` names. Throws as `readRegular()` does, and the errors of opening
 * it.
 */
export function readBehind(file: Fd, limitBytes: number): Buffer {
  if (statFd(file).kind !== "regular") throw new SyscallError("read", "EBADF", undefined, "Not a regular file");
  using readable = reopen(file, "read");
  return readRegular(readable, limitBytes);
}
