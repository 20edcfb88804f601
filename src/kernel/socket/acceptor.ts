// Accepts connections, a limited number in each turn of the event loop, so that many new ones do not delay existing
// ones. Where accept(2) fails (EMFILE, for example) it is retried by a timer, because the edge-triggered poller reports
// readiness only once.
import { inNextTurn } from "../../base/next-turn.ts";
import { type Watch, watch } from "../event/poller.ts";
import { type Fd, openPath } from "../file/fd.ts";
import { isErrno, SyscallError } from "../syscall/sys.ts";
import { acceptPeer, passNothing } from "./unix.ts";

/** How many connections are accepted in one turn of the event loop. */
const ACCEPTS_PER_TURN = 8;
const FIRST_WAIT_MS = 20;
const LONGEST_WAIT_MS = 500;
/** After this time, a shortage counts as lasting: then a connection is accepted on the reserved descriptor. */
const LASTING_MS = 1_000;
/** The shortest time between two reports of connections that were closed because they cannot be served. */
const REPORT_MS = 10_000;
/** No free descriptor in this process or in the system, or no memory. */
const SHORTAGES = ["EMFILE", "ENFILE", "ENOBUFS", "ENOMEM"];
/** The poller can watch no further descriptor: fs.epoll.max_user_watches, or no memory. */
const NO_WATCH = ["ENOSPC", "ENOMEM"];

interface AcceptorHandlers {
  /**
   * Called for each connection, which the handler owns. `isShort`: it uses the reserved descriptor in a lasting
   * shortage, so the handler should close unimportant connections.
   */
  welcome(socket: Fd, isShort: boolean): void;
  /** Called for the first failure of accept(2) after a success; it is retried. */
  failed?(error: Error): void;
  /**
   * Called where a connection was closed because `welcome` threw, or where the listening socket cannot be watched now:
   * the limit of epoll, for example. At most once in ten seconds.
   */
  closed?(error: Error): void;
}

/** Accepts on a listening socket, which it owns. */
export class Acceptor implements Disposable {
  readonly #listener: Fd;
  readonly #handlers: AcceptorHandlers;
  #watch: Watch | null = null;
  #reserve: Fd | null = null;
  #isPlanned = false;
  #timer: ReturnType<typeof setTimeout> | null = null;
  #waitMs = FIRST_WAIT_MS;
  #shortSinceMs: number | null = null;
  #reportAtMs = 0;

  constructor(listener: Fd, handlers: AcceptorHandlers) {
    this.#listener = listener;
    this.#handlers = handlers;
    // receiveBytes() takes any control data for descriptors, so the socket must not get others, such as credentials.
    passNothing(listener);
    this.#keepReserve();
    this.#start();
  }

  close(): void {
    this.#watch?.stop();
    this.#listener.close();
    this.#reserve?.close();
    if (this.#timer !== null) clearTimeout(this.#timer);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** Watches the listening socket; tries again by a timer where that is not possible now. */
  #start(): void {
    try {
      this.#watch = watch(this.#listener, { read: true }, () => this.#accept());
    } catch (error) {
      if (!isErrno(error, ...NO_WATCH)) throw error;
      this.#report(error);
      this.#timer = setTimeout(() => {
        this.#timer = null;
        this.#start();
      }, LONGEST_WAIT_MS);
    }
  }

  #report(error: Error): void {
    const nowMs = performance.now();
    if (nowMs < this.#reportAtMs) return;
    this.#reportAtMs = nowMs + REPORT_MS;
    this.#handlers.closed?.(error);
  }

  #accept(): void {
    if (this.#isPlanned || this.#timer !== null) return;
    for (let count = 0; count < ACCEPTS_PER_TURN; count++) {
      if (!this.#listener.isOpen) return;
      let socket: Fd | null;
      try {
        socket = acceptPeer(this.#listener);
      } catch (error) {
        this.#retryLater(error as Error); // acceptPeer() throws only SyscallErrors
        return;
      }
      if (socket === null) return;
      this.#recover();
      this.#welcome(socket, false);
    }
    this.#isPlanned = true;
    inNextTurn(() => {
      this.#isPlanned = false;
      this.#accept();
    });
  }

  /**
   * Calls the handler; closes the connection where it throws, because the socket cannot be watched (limit of epoll),
   * for example.
   */
  #welcome(socket: Fd, isShort: boolean): void {
    try {
      this.#handlers.welcome(socket, isShort);
    } catch (error) {
      socket.close();
      if (!(error instanceof SyscallError)) throw error;
      this.#report(error);
    }
  }

  /** Ends a shortage after a success. */
  #recover(): void {
    if (this.#shortSinceMs === null && this.#reserve !== null) return;
    this.#shortSinceMs = null;
    this.#waitMs = FIRST_WAIT_MS;
    this.#keepReserve();
  }

  /** Plans a retry after a failure of any kind: no event announces its end. */
  #retryLater(error: Error): void {
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

  /** Accepts one connection with the reserved descriptor, so that important peers can still connect. */
  #acceptOnReserve(): void {
    this.#reserve?.close();
    this.#reserve = null;
    try {
      const socket = acceptPeer(this.#listener);
      if (socket !== null) this.#welcome(socket, true);
    } catch {
      // The next attempt is planned already.
    }
    this.#keepReserve();
  }

  /** Opens the reserved descriptor, where possible. */
  #keepReserve(): void {
    if (this.#reserve !== null) return;
    try {
      this.#reserve = openPath("/", "path");
    } catch {
      // No descriptor is available now; the next success tries again.
    }
  }
}
