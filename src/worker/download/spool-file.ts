// The file of an unfinished download. The process that holds its lock may fill it, as long as the name still refers to
// this file.
import { constants, openSync } from "node:fs";
import { ErrnoError } from "../../base/error.ts";
import { Fd, statAt, statFd } from "../../kernel/file/fd.ts";
import { lockWhole } from "../../kernel/file/lock.ts";
import { unlessErrno } from "../../kernel/syscall/sys.ts";

const FLAGS = constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW | constants.O_NONBLOCK;
const MODE = 0o600;

/**
 * Opens or makes the file and locks it; returns null while another process holds the lock. `beforeLock` is for tests.
 */
export function openSpoolFile(root: Fd, name: string, beforeLock: () => void = () => {}): Fd | null {
  for (;;) {
    const file = Fd.adopt(openSync(`/proc/self/fd/${root.number}/${name}`, FLAGS, MODE));
    try {
      if (statFd(file).kind !== "regular") throw new ErrnoError("EBADFD", `'${name}' is no regular file.`);
      beforeLock();
      if (!lockWhole(file)) {
        file.close();
        return null;
      }
      // Between opening and locking, its earlier owner may have removed the file, or made it an image.
      if (isNamed(root, name, file)) {
        requireOneName(file, name);
        return file;
      }
      file.close();
    } catch (error) {
      file.close();
      throw error;
    }
  }
}

/** The directory may be another user's, who could have put a hard link to any file of its file system there. */
function requireOneName(file: Fd, name: string): void {
  if (statFd(file).nlink > 1) throw new ErrnoError("EBADFD", `'${name}' is a file that has another name as well.`);
}

function isNamed(root: Fd, name: string, file: Fd): boolean {
  const named = unlessErrno(() => statAt(root, name, "no-follow"), null, "ENOENT");
  const opened = statFd(file);
  return named !== null && named.ino === opened.ino && named.dev === opened.dev;
}
