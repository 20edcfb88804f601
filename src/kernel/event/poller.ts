// Readiness of descriptors as callbacks. One epoll(7) holds every descriptor, edge-triggered: a callback runs when a
// descriptor becomes ready, and must read or write until EAGAIN. A thread waits for that epoll (waiting-thread.ts) and
// writes to a socket of the engine; the main thread then collects the events from the epoll without waiting.
import type { Socket } from "bun";
import { isWorkPlanned } from "../../base/next-turn.ts";
import { Fd } from "../file/fd.ts";
import { AF_UNIX, EEXIST, EINTR, O_CLOEXEC, SOCK_NONBLOCK_CLOEXEC } from "../syscall/constants.ts";
import { pinForever } from "../syscall/mem.ts";
import { POLLIN } from "../syscall/poll.ts";
import { check, SyscallError, sys, trySys } from "../syscall/sys.ts";
import { startWaitingThread } from "./waiting-thread.ts";

/** What became possible. `hangup` and `error` are reported even if not requested; a read returns the details. */
export interface Ready {
  /** There is something to read, or the peer has shut down its sending side. */
  readonly read: boolean;
  /** The peer has shut down its sending side: after the last bytes, reading returns the end. */
  readonly readEnd: boolean;
  readonly write: boolean;
  /** The peer has closed both directions. */
  readonly hangup: boolean;
  readonly error: boolean;
}

/** A watch of a descriptor. Closing its Fd stops it too. */
export interface Watch extends Disposable {
  stop(): void;
}

export interface ReadinessWatch extends Watch {
  /** Replaces what is watched for. What is ready already is reported (again) in a later turn of the event loop. */
  change(interest: Interest): void;
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
const SOCK_STREAM = 1;
// int[2]
const ends = pinForever(8);
// struct timespec { long tv_sec; long tv_nsec; }
const timeout = pinForever(16);
/** Whether epoll_pwait2(2) works: from Linux 5.11 on, unless a system call filter forbids it. */
let hasPreciseWait = true;

/** The thread is started after this time, so that short programs do not pay for it. */
let threadAfterMs = 20;
/** How long the main thread waits in the kernel in each turn while there is no thread. */
let firstWaitUs = 1000;
/** The same for a program that has little else to do. */
const LONGER_WAIT_US = 10_000;
/**
 * How long the main thread waits for further events after it has dispatched some: a client often calls again as soon as
 * it has its reply, and waking the thread in between costs more than the call. Sockets of the engine end this wait,
 * its timers do not.
 */
const MORE_WAIT_US = 1000;
/** The same where the engine's epoll is not known: its sockets wait, too. */
const BLIND_WAIT_US = 100;
/** Batches in a row before timers and other work of the event loop run. */
const BATCHES_PER_TURN = 16;

type Callback = (ready: Ready) => void;

/** Watches by token. Tokens are never reused, so an event for a stopped watch finds none. */
const watches = new Map<number, DescriptorWatch>();
let nextToken = 1;
let epoll = -1;
/** The engine's end of the socket to which the thread writes; null while there is no thread. */
let wakeUps: Socket | null = null;
let threadIsStarting = false;
/** Whether the thread waits for `epoll`, or has sent a wake-up that was not handled yet. */
let threadIsReady = false;
/** When the thread is started, or told to wait, again where that failed, ms. */
let nextAttemptMs = 0;
const ATTEMPT_AGAIN_MS = 1000;
let turnIsPlanned = false;
let startedAtMs = 0;
/** Until when the main thread waits for further events, ms. */
let waitsUntilMs = 0;
/** The engine's epoll; -1 while it is not known. */
let engineEpoll = -1;
// struct pollfd { int fd; short events; short revents; }[2]
const both = pinForever(16);
/** The epoll the thread blocks on. It holds `epoll`, armed for one wake-up at a time. */
let outer = -1;
/** The descriptors of the thread. */
let ofThread: DisposableStack | null = null;

/**
 * Calls `callback` whenever `fd` becomes ready for what `interest` names, on its peer's hang-up, and on errors; where
 * it is ready already, first in the next turn of the event loop. Throws `EEXIST` where the descriptor is watched
 * already, `EPERM` for a regular file. An error of the callback is reported as uncaught; the poller continues.
 */
export function watch(fd: Fd | number, interest: Interest, callback: Callback): ReadinessWatch {
  start();
  const made = new DescriptorWatch(fd, callback);
  control(EPOLL_CTL_ADD, made, interest);
  watches.set(made.token, made);
  wakeUps?.ref();
  if (!threadIsReady) planTurn(firstWaitUs);
  if (typeof fd !== "number") fd.onClose(made);
  return made;
}

function control(operation: number, { token, number }: DescriptorWatch, interest: Interest): void {
  const wanted = (interest.read ? EPOLLIN | EPOLLRDHUP : 0) | (interest.write ? EPOLLOUT : 0);
  one.view.setUint32(0, (wanted | EPOLLET) >>> 0, true);
  one.view.setUint32(DATA, token >>> 0, true);
  one.view.setUint32(DATA + 4, Math.floor(token / 2 ** 32), true);
  check(trySys("epoll_ctl", epoll, operation, number, one), "epoll_ctl");
}

/** A class instead of closures, because there is one for each machine: a closure takes a scope object as well. */
class DescriptorWatch implements ReadinessWatch {
  readonly token = nextToken++;
  readonly number: number;
  readonly callback: Callback;
  readonly #fd: Fd | number;

  constructor(fd: Fd | number, callback: Callback) {
    this.number = typeof fd === "number" ? fd : fd.number;
    this.callback = callback;
    this.#fd = fd;
  }

  change(interest: Interest): void {
    if (watches.has(this.token)) control(EPOLL_CTL_MOD, this, interest);
  }

  stop(): void {
    if (!watches.delete(this.token)) return;
    if (typeof this.#fd !== "number") this.#fd.onClose(undefined);
    trySys("epoll_ctl", epoll, EPOLL_CTL_DEL, this.number, one);
    if (watches.size === 0) wakeUps?.unref();
  }

  [Symbol.dispose](): void {
    this.stop();
  }
}

const SHORT_LIFE_MS = 500;

/**
 * Delays the start of the thread, for a program that makes a few calls and ends: on a busy host such a program runs
 * longer, and starting the thread costs more.
 */
export function expectShortLife(): void {
  threadAfterMs = SHORT_LIFE_MS;
}

/**
 * As expectShortLife(), for a program that waits for watched descriptors and signals only: it waits for longer in each
 * turn, in which timers and sockets of the engine wait, too.
 */
export function expectShortWait(): void {
  threadAfterMs = SHORT_LIFE_MS;
  firstWaitUs = LONGER_WAIT_US;
}

/** Returns the number of watches. With none, the poller does not keep the process alive. */
export function watchCount(): number {
  return watches.size;
}

function start(): void {
  if (epoll >= 0) return;
  epoll = check(trySys("epoll_create1", O_CLOEXEC), "epoll_create1");
  startedAtMs = performance.now();
}

/**
 * Starts the thread. Where a descriptor or the thread is not available (EMFILE, EAGAIN), the main thread continues to
 * wait by itself, and tries again.
 */
async function startThread(): Promise<void> {
  threadIsStarting = true;
  nextAttemptMs = performance.now() + ATTEMPT_AGAIN_MS;
  using made = new DisposableStack();
  try {
    // Programs that end before the thread starts do not load it.
    const { engineEpollWith } = await import("./engine-epoll.ts");
    const inner = made.use(Fd.adopt(sys("epoll_create1", O_CLOEXEC)));
    sys("socketpair", AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK_CLOEXEC, 0, ends);
    const ours = made.use(Fd.adopt(ends.view.getInt32(0, true)));
    const theirs = made.use(Fd.adopt(ends.view.getInt32(4, true)));
    const { number } = ours;
    const socket = await engineSocket(ours);
    if (socket === null) return;
    if (!startWaitingThread(inner.number, theirs.number)) {
      socket.terminate();
      return;
    }
    outer = inner.number;
    if (engineEpoll < 0) waitForEngine(engineEpollWith(number));
    ofThread = made.move();
    wakeUps = socket;
    if (watches.size === 0) socket.unref();
    arm(EPOLL_CTL_ADD);
  } catch (error) {
    if (!(error instanceof SyscallError)) reportError(error);
  } finally {
    threadIsStarting = false;
    turn(0);
  }
}

/** From now on, the main thread waits for the engine's epoll too, unless that was not found. */
function waitForEngine(found: number | null): void {
  engineEpoll = found ?? -1;
  for (const [index, number] of [epoll, engineEpoll].entries()) {
    both.view.setInt32(8 * index, number, true);
    both.view.setInt16(8 * index + 4, POLLIN, true);
  }
}

/** Gives the engine a socket; returns null where it cannot watch it (fs.epoll.max_user_watches). */
async function engineSocket(ours: Fd): Promise<Socket | null> {
  try {
    // The types of the engine's sockets lack `fd`.
    const options = { fd: ours.number, socket: { data: () => turn(0), close: forgetThread } };
    const socket: Socket = await Bun.connect(options as never);
    ours.take();
    return socket;
  } catch {
    // It has told no reason, and has not closed the socket.
    return null;
  }
}

/** The thread has ended, because a call of it failed; it is started again. */
function forgetThread(): void {
  if (wakeUps === null) return;
  wakeUps = null;
  threadIsReady = false;
  ofThread?.dispose();
  reportError(new Error("The poller's thread has ended"));
  planTurn(firstWaitUs);
}

/**
 * Lets the thread send one wake-up: at once if events are pending. Where that fails (fs.epoll.max_user_watches), the
 * main thread waits by itself, and tries again.
 */
function arm(operation: number): void {
  one.view.setUint32(0, EPOLLIN | EPOLLONESHOT, true);
  let result = trySys("epoll_ctl", outer, operation, epoll, one);
  if (result === EEXIST) result = trySys("epoll_ctl", outer, EPOLL_CTL_MOD, epoll, one);
  threadIsReady = result === 0;
  nextAttemptMs = performance.now() + ATTEMPT_AGAIN_MS;
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
 * Runs the callbacks of all ready descriptors, after waiting up to `waitUs` unless other work is planned. After events,
 * another turn with a short wait follows; without events the thread waits or, while there is none, the next turn.
 */
function turn(waitUs: number): void {
  let timeoutUs = isWorkPlanned() ? 0 : waitUs;
  let hadEvents = false;
  for (let round = 0; round < BATCHES_PER_TURN; round++) {
    const count = wait(timeoutUs);
    timeoutUs = 0;
    if (count === EINTR) continue;
    if (check(count, "epoll_pwait") === 0) break;
    hadEvents = true;
    dispatch(count);
    // What has become ready meanwhile is collected by the next turn, which follows at once, after replies were sent.
    if (count < BATCH) break;
  }
  if (!threadIsReady) {
    if (watches.size === 0) return;
    const now = performance.now();
    const isTimely = now > nextAttemptMs && !threadIsStarting;
    if (wakeUps !== null && isTimely) arm(EPOLL_CTL_ADD);
    else if (isTimely && now - startedAtMs > threadAfterMs) void startThread();
    if (!threadIsReady) planTurn(firstWaitUs);
    return;
  }
  const restUs = restOfWait(hadEvents);
  if (restUs > 0) planTurn(restUs);
  else {
    arm(EPOLL_CTL_MOD);
    if (!threadIsReady) planTurn(firstWaitUs);
  }
}

/** Returns for how long the main thread goes on to wait by itself, in microseconds. */
function restOfWait(hadEvents: boolean): number {
  if (engineEpoll < 0) return hadEvents ? BLIND_WAIT_US : 0;
  const now = performance.now();
  if (hadEvents) waitsUntilMs = now + MORE_WAIT_US / 1000;
  return Math.floor((waitsUntilMs - now) * 1000);
}

/** Waits until a descriptor, or one of the engine's, is ready; returns how many events were collected, or an errno. */
function wait(timeoutUs: number): number {
  if (timeoutUs > 0 && engineEpoll >= 0) {
    timeout.view.setBigInt64(8, BigInt(timeoutUs * 1000), true);
    trySys("ppoll", both, 2, timeout, 0, 8);
  } else if (timeoutUs > 0 && hasPreciseWait) {
    timeout.view.setBigInt64(8, BigInt(timeoutUs * 1000), true);
    const count = trySys("epoll_pwait2", epoll, batch, BATCH, timeout, 0, 8);
    if (count >= 0 || count === EINTR) return count;
    hasPreciseWait = false;
  }
  const rest = engineEpoll >= 0 ? 0 : Math.floor(timeoutUs / 1000);
  return trySys("epoll_pwait", epoll, batch, BATCH, rest, 0, 8);
}

/** Calls the callbacks of a batch. Copies its events out first, because callbacks may cause the next batch. */
function dispatch(count: number): void {
  const events: { token: number; mask: number }[] = [];
  for (let at = 0; at < count * EVENT_SIZE; at += EVENT_SIZE) {
    const token = batch.view.getUint32(at + DATA, true) + batch.view.getUint32(at + DATA + 4, true) * 2 ** 32;
    events.push({ token, mask: batch.view.getUint32(at, true) });
  }
  for (const { token, mask } of events) {
    try {
      watches.get(token)?.callback({
        read: (mask & (EPOLLIN | EPOLLRDHUP)) !== 0,
        readEnd: (mask & EPOLLRDHUP) !== 0,
        write: (mask & EPOLLOUT) !== 0,
        hangup: (mask & EPOLLHUP) !== 0,
        error: (mask & EPOLLERR) !== 0,
      });
    } catch (error) {
      reportError(error);
    }
  }
}
