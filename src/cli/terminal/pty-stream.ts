// Non-blocking standard input and output. O_NONBLOCK applies to the open file description, which may be shared with the
// shell that started this process. So the file is opened a second time; only if that is not possible (sockets,
// terminals of another user), the shared one is made non-blocking until the end. Regular files are used as they are:
// they never block, and opening them again would lose the position.
import { readFileSync } from "node:fs";
import { type Watch, watch } from "../../kernel/event/poller.ts";
import { copyStandard, type Fd, reopen, setNonblocking, statFd } from "../../kernel/file/fd.ts";
import { O_NONBLOCK } from "../../kernel/syscall/constants.ts";
import { isErrno } from "../../kernel/syscall/sys.ts";

/** Standard input or output for non-blocking use. */
export class StandardStream implements Disposable {
  readonly fd: Fd;
  /** The shared descriptor that must be made blocking again at the end; null if it was not changed. */
  readonly #lent: Fd | null;
  #watch: Watch | null = null;

  private constructor(fd: Fd, lent: Fd | null) {
    this.fd = fd;
    this.#lent = lent;
  }

  /** Opens the stream with that number. Throws EBADF if the descriptor is closed. */
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

  /**
   * Calls `ready` whenever the stream becomes ready. Returns false for files that epoll(7) refuses, which are always
   * ready.
   */
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
