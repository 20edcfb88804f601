// Files that their owner may not read (mode 0000: Fedora's images have such an /etc/shadow). Root reads them without asking;
// a user who owns them has the right to take the right.
import { chmod } from "../file/directory-entry.ts";
import { type Fd, reopen } from "../file/fd.ts";
import { isErrno } from "../syscall/sys.ts";
import { RawStatus } from "./tree.ts";

const OWNER_MAY_READ = 0o400;
const PERMISSIONS = 0o7777;

/**
 * Opens for reading what an O_PATH descriptor names. A regular file of ours that we may not read is made readable meanwhile: a process
 * that is killed between the two calls leaves it readable by its owner, and nothing takes that back. Without a change of its mode
 * only a user namespace of the user's own could open it, which a process with threads cannot make and many hosts forbid.
 */
export function reopenForReading(named: Fd): Fd {
  try {
    return reopen(named, "read");
  } catch (error) {
    const status = new RawStatus();
    const { kind, mode, uid } = isErrno(error, "EACCES") ? status.readFd(named) : { kind: "other", mode: 0, uid: -1 };
    if (kind !== "regular" || uid !== process.geteuid?.() || (mode & OWNER_MAY_READ) !== 0) throw error;
    const path = `/proc/self/fd/${named.number}`;
    chmod(path, (mode & PERMISSIONS) | OWNER_MAY_READ);
    try {
      return reopen(named, "read");
    } finally {
      chmod(path, mode & PERMISSIONS);
    }
  }
}
