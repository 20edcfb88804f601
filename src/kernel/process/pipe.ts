// Pipes: pipe(7).
import { watch } from "../event/poller.ts";
import { readSome } from "../file/byte-io.ts";
import { Fd, setNonblocking } from "../file/fd.ts";
import { F_GETPIPE_SZ, F_SETPIPE_SZ, O_CLOEXEC } from "../syscall/constants.ts";
import { pinForever } from "../syscall/mem.ts";
import { SyscallError, sys, trySys } from "../syscall/sys.ts";

const ends = pinForever(8);

/** Returns the two ends of a new pipe. Only the reading end, which is ours, is non-blocking. */
export function openPipe(): [read: Fd, write: Fd] {
  sys("pipe2", ends, O_CLOEXEC);
  const [read, write] = [Fd.adopt(ends.view.getInt32(0, true)), Fd.adopt(ends.view.getInt32(4, true))];
  setNonblocking(read);
  return [read, write];
}

/** The default limit for unprivileged users (pipe-max-size in proc(5)). */
const LARGE_BYTES = 1 << 20;

/**
 * Enlarges a pipe to 1 MiB, where the limit of its user allows it. Returns its size in bytes; null where `fd` is not a
 * pipe.
 */
export function widenPipe(fd: Fd): number | null {
  const size = trySys("fcntl", fd.number, F_GETPIPE_SZ, 0);
  if (size < 0) return null;
  return size >= LARGE_BYTES ? size : Math.max(size, trySys("fcntl", fd.number, F_SETPIPE_SZ, LARGE_BYTES));
}

/**
 * Reads the non-blocking `fd` to its end and closes it. Throws, and closes it, where it cannot be watched. Rejects with
 * `EFBIG` where there are more than `limitBytes`.
 */
export function readToEnd(fd: Fd, limitBytes: number): Promise<Buffer> {
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
  const parts: Buffer[] = [];
  let total = 0;
  const readAll = (): boolean => {
    for (let part = readSome(fd); part !== null; part = readSome(fd)) {
      if (part.length === 0) return true;
      total += part.length;
      if (total > limitBytes) throw new SyscallError("read", "EFBIG");
      parts.push(part);
    }
    return false;
  };
  const read = () => {
    try {
      if (!readAll()) return;
      resolve(Buffer.concat(parts, total));
    } catch (error) {
      reject(error);
    }
    fd.close();
  };
  try {
    watch(fd, { read: true }, read);
  } catch (error) {
    fd.close();
    throw error;
  }
  return promise;
}
