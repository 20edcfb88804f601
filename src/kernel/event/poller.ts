// Kernel readiness becomes callbacks here and nowhere else. One private epoll holds every descriptor, edge-triggered: a
// callback runs when something became possible, and must read or write until EAGAIN. A thread waits for that epoll
// (poller-thread.ts) and posts a wake-up; the main thread then asks the epoll itself, without waiting. See epoll(7).
import type { Fd } from "../file/fd.ts";
import { EINTR, O_CLOEXEC } from "../syscall/constants.ts";
import { pinForever } from "../syscall/mem.ts";
import { check, trySys } from "../syscall/sys.ts";
import type { WaitRequest } from "./poller-thread.ts";

/** What became possible. `hangup` and `error` come unasked; after either, reading tells the details. */
export interface Ready {
  /** There is something to read, or the end of what the peer sends. */
  readonly read: boolean;
  readonly write: boolean;
  /** The peer neither sends nor reads any more: it has closed its end. */
  readonly hangup: boolean;
  readonly error: boolean;
}

/** A watched descriptor. Closing its Fd stops the watch too. */
export interface Watch extends Disposable {
  stop(): void;
}

interface Interest {
  readonly read?: boolean;
  readonly write?: boolean;
}

const [EPOLLIN, EPOLLOUT, EPOLLERR, EPOLLHUP] = [0x1, 0x4, 0x8, 0x10] as const;
const EPOLLRDHUP = 0x2000;
const EPOLLET = 0x80000000;
const EPOLLONESHOT = 0x40000000;
const [EPOLL_CTL_ADD, EPOLL_CTL_DEL, EPOLL_CTL_MOD] = [1, 2, 3] as const;

// struct epoll_event { __u32 events; __u64 data; }: packed on x86-64 only.
const EVENT_SIZE = process.arch === "arm64" ? 16 : 12;
const DATA = EVENT_SIZE - 8;
const BATCH = 64;
const batch = pinForever(EVENT_SIZE * BATCH);
const one = pinForever(EVENT_SIZE);
// struct timespec { long tv_sec; long tv_nsec; }
const timeout = pinForever(16);
/** epoll_pwait2(2) is there since Linux 5.11, where no filter of system calls forbids it. */
let hasPreciseWait = true;

/** A program that is done within this time never pays for the thread. */
const THREAD_AFTER_MS = 20;
/** How long the main thread may wait in the kernel while there is no thread to wait for it. */
const FIRST_WAIT_US = 1000;
/**
 * After news, how long the main thread waits for more itself: whoever got an answer mostly asks again at once, and
 * waking a second thread in between costs more than the answer.
 */
const MORE_WAIT_US = 100;
/** Batches in a row before timers and everything else of the loop get their turn. */
const BATCHES_PER_TURN = 16;

type Callback = (ready: Ready) => void;

/** Callbacks by token. Tokens are never used again, so an event for a stopped watch finds no callback. */
const callbacks = new Map<number, Callback>();
let nextToken = 1;
let epoll = -1;
let thread: Worker | null = null;
let threadIsReady = false;
let turnIsPlanned = false;
let startedAtMs = 0;
/** The epoll the thread blocks on. It holds `epoll`, armed for one wake-up at a time. */
let outer = -1;

/**
 * Calls `callback` whenever `fd` becomes ready for what `interest` names, on its peer's hang-up, and on errors; first in
 * the next turn of the loop when it is ready already. An Fd can be watched once (`EEXIST`); a regular file cannot
 * (`EPERM`). A throwing callback is reported as an uncaught exception and the loop goes on.
 */
export function watch(fd: Fd | number, interest: Interest, callback: Callback): Watch {
  start();
  const token = nextToken++;
  const number = typeof fd === "number" ? fd : fd.number;
  const wanted = (interest.read ? EPOLLIN | EPOLLRDHUP : 0) | (interest.write ? EPOLLOUT : 0);
  one.view.setUint32(0, (wanted | EPOLLET) >>> 0, true);
  one.view.setUint32(DATA, token >>> 0, true);
  one.view.setUint32(DATA + 4, Math.floor(token / 2 ** 32), true);
  check(trySys("epoll_ctl", epoll, EPOLL_CTL_ADD, number, one), "epoll_ctl");
  callbacks.set(token, callback);
  thread?.ref();
  if (!threadIsReady) planTurn(FIRST_WAIT_US);
  const stop = () => {
    if (!callbacks.delete(token)) return;
    if (typeof fd !== "number") fd.onClose(undefined);
    trySys("epoll_ctl", epoll, EPOLL_CTL_DEL, number, one);
    if (callbacks.size === 0) thread?.unref();
  };
  if (typeof fd !== "number") fd.onClose(stop);
  return { stop, [Symbol.dispose]: stop };
}

/** How many watches there are: none means that the poller does not keep the process alive. */
export function watchCount(): number {
  return callbacks.size;
}

function start(): void {
  if (epoll >= 0) return;
  epoll = check(trySys("epoll_create1", O_CLOEXEC), "epoll_create1");
  startedAtMs = performance.now();
}

/**
 * Where the thread's program is. The executable holds it under the path it has below src/, the folder that all entry
 * points of the build have in common; this module itself is merged into some other file there.
 */
function threadSource(): string | URL {
  const isCompiled = import.meta.path.startsWith("/$bunfs/");
  return isCompiled ? "/$bunfs/root/kernel/event/poller-thread.js" : new URL("./poller-thread.ts", import.meta.url);
}

/** While no file can be opened the main thread goes on waiting itself. */
function startThread(): void {
  outer = trySys("epoll_create1", O_CLOEXEC);
  if (outer < 0) return;
  thread = new Worker(threadSource(), { smol: true });
  thread.onmessage = (event: { data: unknown }) => {
    if (event.data === "ready") {
      threadIsReady = true;
      arm(EPOLL_CTL_ADD);
    }
    turn(0);
  };
  // Without its waiting thread the program would be deaf, and not say so.
  thread.onerror = (event) => reportError(new Error(`The poller's thread failed: ${event.message}`));
  const order: WaitRequest = { epoll: outer };
  thread.postMessage(order);
}

/** Lets the thread wake us once: at once if there is news already. */
function arm(operation: number): void {
  one.view.setUint32(0, EPOLLIN | EPOLLONESHOT, true);
  check(trySys("epoll_ctl", outer, operation, epoll, one), "epoll_ctl");
}

function planTurn(waitUs: number): void {
  if (turnIsPlanned) return;
  turnIsPlanned = true;
  setImmediate(() => {
    turnIsPlanned = false;
    turn(waitUs);
  });
}

/**
 * Runs the callbacks of all that is ready. After news another turn follows, which waits a little; without news it is the
 * thread that waits or, while there is none, the next turn.
 */
function turn(waitUs: number): void {
  let timeoutUs = waitUs;
  let hadNews = false;
  for (let round = 0; round < BATCHES_PER_TURN; round++) {
    const count = wait(timeoutUs);
    timeoutUs = 0;
    if (count === EINTR) continue;
    if (check(count, "epoll_pwait") === 0) break;
    hadNews = true;
    dispatch(count);
  }
  if (!threadIsReady) {
    if (callbacks.size === 0) return;
    if (thread === null && performance.now() - startedAtMs > THREAD_AFTER_MS) startThread();
    planTurn(FIRST_WAIT_US);
  } else if (hadNews) planTurn(MORE_WAIT_US);
  else arm(EPOLL_CTL_MOD);
}

function wait(timeoutUs: number): number {
  if (timeoutUs > 0 && hasPreciseWait) {
    timeout.view.setBigInt64(8, BigInt(timeoutUs * 1000), true);
    const count = trySys("epoll_pwait2", epoll, batch, BATCH, timeout, 0, 8);
    if (count >= 0 || count === EINTR) return count;
    hasPreciseWait = false;
  }
  return trySys("epoll_pwait", epoll, batch, BATCH, Math.floor(timeoutUs / 1000), 0, 8);
}

/** Copied out first: a callback may watch and stop, which write to the same memory. */
function dispatch(count: number): void {
  const events: { token: number; mask: number }[] = [];
  for (let at = 0; at < count * EVENT_SIZE; at += EVENT_SIZE) {
    const token = batch.view.getUint32(at + DATA, true) + batch.view.getUint32(at + DATA + 4, true) * 2 ** 32;
    events.push({ token, mask: batch.view.getUint32(at, true) });
  }
  for (const { token, mask } of events) {
    try {
      callbacks.get(token)?.({
        read: (mask & (EPOLLIN | EPOLLRDHUP)) !== 0,
        write: (mask & EPOLLOUT) !== 0,
        hangup: (mask & EPOLLHUP) !== 0,
        error: (mask & EPOLLERR) !== 0,
      });
    } catch (error) {
      reportError(error);
    }
  }
}
