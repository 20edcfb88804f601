// Reads regular files whole, and no others: a fifo or a device may never answer.
import { pinForever } from "../syscall/mem.ts";
import { check, SyscallError, trySys } from "../syscall/sys.ts";
import { type Fd, openInRoot, reopen, statFd } from "./fd.ts";

const chunk = pinForever(64 * 1024);

/**
 * Returns the whole content of an open regular file, independent of its offset. Throws `EBADF` ("Not a regular file")
 * for others, `EFBIG` for more than `limitBytes`. A file of unknown size, as those of /proc are, is read to its end.
 */
export function readRegular(fd: Fd, limitBytes: number): Buffer {
  const status = statFd(fd);
  requireRegular(status.kind, undefined);
  if (status.size > limitBytes) throw new SyscallError("read", "EFBIG");
  return readContent(fd, limitBytes, status.size);
}

/**
 * Returns the whole content of a file that is known to be regular, as readRegular(). `size` is its size in bytes, with
 * which the end is not read for; 0 where that is not known.
 */
export function readContent(fd: Fd, limitBytes: number, size = 0): Buffer {
  const parts: Buffer[] = [];
  let total = 0;
  for (;;) {
    // Reads up to one byte beyond the limit, to detect a file that grew or whose size is unknown.
    const wanted = Math.min(chunk.size, limitBytes + 1 - total);
    const count = check(trySys("pread64", fd.number, chunk, wanted, total), "read");
    total += count;
    if (total > limitBytes) throw new SyscallError("read", "EFBIG");
    if (count > 0) parts.push(Buffer.from(chunk.bytes.subarray(0, count)));
    if (count > 0 && total !== size) continue;
    return parts.length === 1 && parts[0] !== undefined ? parts[0] : Buffer.concat(parts, total);
  }
}

/**
 * Returns the content of the regular file `path` below the untrusted `root`. Opens it with O_PATH first, and for
 * reading only where it is regular, so that a fifo or device is never opened. Throws as `readRegular()` and
 * `openInRoot()` do.
 */
export function readFileIn(root: Fd, path: string, limitBytes: number): Buffer {
  using named = openInRoot(root, path, "path");
  requireRegular(statFd(named).kind, path);
  using opened = reopen(named, "read");
  return readRegular(opened, limitBytes);
}

function requireRegular(kind: string, path: string | undefined): void {
  if (kind !== "regular") throw new SyscallError("read", "EBADF", path, "Not a regular file");
}
