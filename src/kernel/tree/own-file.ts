// Opens files that their own owner may not read (mode 0000: Fedora's images have such an /etc/shadow). Root can read
// them anyway; a user who owns them can change the mode.
import { chmod } from "../file/directory-entry.ts";
import { type Fd, reopen } from "../file/fd.ts";
import { isErrno } from "../syscall/sys.ts";
import { RawStatus } from "./raw-status.ts";

const OWNER_MAY_READ = 0o400;
const PERMISSIONS = 0o7777;

/**
 * Opens the file of an O_PATH descriptor for reading. Adds the owner's read permission to a regular file of ours while
 * it is being opened; if this process is killed in between, the file keeps it. The alternative, a user namespace,
 * cannot be made by a process with threads, and many hosts forbid it.
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
