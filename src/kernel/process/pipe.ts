// Pipes, and reading one to its end: pipe(7).

import { watch } from "../event/poller.ts";
import { readSome } from "../file/byte-io.ts";
import { Fd, setNonblocking } from "../file/fd.ts";
import { O_CLOEXEC } from "../syscall/constants.ts";
import { pinForever } from "../syscall/mem.ts";
import { SyscallError, sys } from "../syscall/sys.ts";

const ends = pinForever(8);

/** A pipe: what is written to the second is read from the first. Only our end, the first, is non-blocking. */
export function openPipe(): [read: Fd, write: Fd] {
  sys("pipe2", ends, O_CLOEXEC);
  const [read, write] = [Fd.adopt(ends.view.getInt32(0, true)), Fd.adopt(ends.view.getInt32(4, true))];
  setNonblocking(read);
  return [read, write];
}

/** Reads `fd` until its end, then closes it. Rejects with `EFBIG` beyond `limitBytes`. */
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
  watch(fd, { read: true }, () => {
    try {
      if (!readAll()) return;
      resolve(Buffer.concat(parts, total));
    } catch (error) {
      reject(error);
    }
    fd.close();
  });
  return promise;
}
