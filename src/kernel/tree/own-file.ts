// Files that their own owner may not read (mode 0000: Fedora's images have such an /etc/shadow), and directories that
// their own owner may not change (mode 0555: /usr/bin there). Root can access them anyway; a user who owns them can
// change the mode.
import { chmod } from "../file/directory-entry.ts";
import { type Fd, reopen } from "../file/fd.ts";
import { isErrno } from "../syscall/sys.ts";
import { RawStatus } from "./raw-status.ts";

const OWNER_MAY_READ = 0o400;
const OWNER_MAY_ALL = 0o700;
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

/**
 * Gives this user all permissions on a directory of its own, which may be an O_PATH descriptor; returns the permissions
 * that it had. Returns null where that changes nothing: for root, other users' directories and other files.
 */
export function openUp(directory: Fd, status: RawStatus = new RawStatus().readFd(directory)): number | null {
  const user = process.geteuid?.() ?? 0;
  const { kind, mode, uid } = status;
  if (user === 0 || uid !== user || kind !== "directory" || (mode & OWNER_MAY_ALL) === OWNER_MAY_ALL) return null;
  setPermissions(directory, mode | OWNER_MAY_ALL);
  return mode & PERMISSIONS;
}

/** Sets the permissions of a file by any descriptor of it. */
export function setPermissions(file: Fd, mode: number): void {
  chmod(`/proc/self/fd/${file.number}`, mode & PERMISSIONS);
}
