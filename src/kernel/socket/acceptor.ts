// Accepting connections so that a crowd of them leaves room for everything else: a few each turn of the loop, and never
// stuck when the process may open no more files (EMFILE in accept(2), whose readiness the poller tells only once).

import { type Watch, watch } from "../event/poller.ts";
import { type Fd, openPath } from "../file/fd.ts";
import { isErrno, SyscallError } from "../syscall/sys.ts";
import { acceptPeer, passNothing } from "./unix.ts";

/** Accepted in one turn of the loop; then those that are connected get theirs. */
const ACCEPTS_PER_TURN = 8;
const FIRST_WAIT_MS = 20;
const LONGEST_WAIT_MS = 500;
/** A shortage of this length is not over in a moment. */
const LASTING_MS = 1_000;
/** No descriptor in this process, none in the system, no memory for one. */
const SHORTAGES = ["EMFILE", "ENFILE", "ENOBUFS", "ENOMEM"];

interface AcceptorHandlers {
  /**
   * A connection, which belongs to the handler. `isShort`: it took the last descriptor there was, after a lasting shortage;
   * who is not important has to be turned away.
   */
  welcome(socket: Fd, isShort: boolean): void;
  /** Accepting fails, for the first time since it last went well; it is tried again. */
  failed?(error: Error): void;
}

/** Owns a listening socket. */
export class Acceptor implements Disposable {
  readonly #listener: Fd;
  readonly #handlers: AcceptorHandlers;
  readonly #watch: Watch;
  #reserve: Fd | null = null;
  #isPlanned = false;
  #timer: ReturnType<typeof setTimeout> | null = null;
  #waitMs = FIRST_WAIT_MS;
  #shortSinceMs: number | null = null;

  constructor(listener: Fd, handlers: AcceptorHandlers) {
    this.#listener = listener;
    this.#handlers = handlers;
    // What comes beside bytes is taken for descriptors (receiveBytes).
    passNothing(listener);
    this.#keepReserve();
    this.#watch = watch(listener, { read: true }, () => this.#accept());
  }

  close(): void {
    this.#watch.stop();
    this.#listener.close();
    this.#reserve?.close();
    if (this.#timer !== null) clearTimeout(this.#timer);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #accept(): void {
    if (this.#isPlanned || this.#timer !== null) return;
    for (let count = 0; count < ACCEPTS_PER_TURN; count++) {
      if (!this.#listener.isOpen) return;
      let socket: Fd | null;
      try {
        socket = acceptPeer(this.#listener);
      } catch (error) {
        this.#suffer(error as Error); // acceptPeer() throws SyscallError only
        return;
      }
      if (socket === null) return;
      this.#recover();
      this.#welcome(socket, false);
    }
    this.#isPlanned = true;
    setImmediate(() => {
      this.#isPlanned = false;
      this.#accept();
    });
  }

  /** A connection that cannot be watched (a limit of epoll's, say) is not kept. */
  #welcome(socket: Fd, isShort: boolean): void {
    try {
      this.#handlers.welcome(socket, isShort);
    } catch (error) {
      socket.close();
      if (!(error instanceof SyscallError)) throw error;
      this.#handlers.failed?.(error);
    }
  }

  #recover(): void {
    if (this.#shortSinceMs === null && this.#reserve !== null) return;
    this.#shortSinceMs = null;
    this.#waitMs = FIRST_WAIT_MS;
    this.#keepReserve();
  }

  /** Whatever the reason is: nobody would say when it is gone, so it is tried again. */
  #suffer(error: Error): void {
    const nowMs = performance.now();
    if (this.#shortSinceMs === null) this.#handlers.failed?.(error);
    this.#shortSinceMs ??= nowMs;
    const isShortage = isErrno(error, ...SHORTAGES);
    if (isShortage && nowMs - this.#shortSinceMs >= LASTING_MS) this.#acceptOnReserve();
    this.#timer = setTimeout(() => {
      this.#timer = null;
      this.#accept();
    }, this.#waitMs);
    this.#waitMs = Math.min(2 * this.#waitMs, LONGEST_WAIT_MS);
  }

  #acceptOnReserve(): void {
    this.#reserve?.close();
    this.#reserve = null;
    try {
      const socket = acceptPeer(this.#listener);
      if (socket !== null) this.#welcome(socket, true);
    } catch {
      // The next try is planned already.
    }
    this.#keepReserve();
  }

  #keepReserve(): void {
    if (this.#reserve !== null) return;
    try {
      this.#reserve = openPath("/", "path");
    } catch {
      // Not now: there is none to be had.
    }
  }
}
