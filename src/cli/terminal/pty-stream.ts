// Standard input and output without waiting. The open file behind each may be shared with the shell that started us, which
// does not expect it to change: so it is opened anew for our use, and only where that cannot be done (sockets, terminals
// of another user) made non-blocking until the end. Plain files never make anybody wait, and have a position to keep.
import { readFileSync } from "node:fs";
import { type Watch, watch } from "../../kernel/event/poller.ts";
import { copyStandard, type Fd, reopen, setNonblocking, statFd } from "../../kernel/file/fd.ts";
import { O_NONBLOCK } from "../../kernel/syscall/constants.ts";
import { isErrno } from "../../kernel/syscall/sys.ts";

export class StandardStream implements Disposable {
  readonly fd: Fd;
  readonly #lent: Fd | null;
  #watch: Watch | null = null;

  private constructor(fd: Fd, lent: Fd | null) {
    this.fd = fd;
    this.#lent = lent;
  }

  /** The stream with that number, 0 or 1. `EBADF` where it is closed. */
  static open(number: 0 | 1): StandardStream {
    const shared = copyStandard(number);
    try {
      if (statFd(shared).kind === "regular") return new StandardStream(shared, null);
      const own = reopen(shared, number === 0 ? "read" : "write");
      shared.close();
      return new StandardStream(own, null);
    } catch {
      const wasBlocking = !isNonblocking(shared);
      setNonblocking(shared);
      return new StandardStream(shared, wasBlocking ? shared : null);
    }
  }

  /** Calls back whenever the stream becomes ready; false for one that always is. */
  watch(interest: { read?: boolean; write?: boolean }, ready: () => void): boolean {
    try {
      this.#watch = watch(this.fd, interest, ready);
      return true;
    } catch (error) {
      if (isErrno(error, "EPERM")) return false;
      throw error;
    }
  }

  [Symbol.dispose](): void {
    this.#watch?.stop();
    if (this.#lent?.isOpen) setNonblocking(this.#lent, "off");
    this.fd.close();
  }
}

function isNonblocking(fd: Fd): boolean {
  const flags = /^flags:\s*([0-7]+)$/m.exec(readFileSync(`/proc/self/fdinfo/${fd.number}`, "latin1"))?.[1] ?? "0";
  return (Number.parseInt(flags, 8) & O_NONBLOCK) !== 0;
}
