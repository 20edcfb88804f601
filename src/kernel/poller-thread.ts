// The thread that waits. It blocks on an epoll which holds nothing but the poller's own epoll, and wakes the main thread
// when that one has news. A second entry point of the build: it must not import anything that main does not need.
import { pinForever } from "./mem.ts";
import { sys, trySys } from "./sys.ts";

export interface WaitOrder {
  /** The epoll to block on. */
  readonly epoll: number;
  /** One shared integer, 1 while a wake-up is on its way: a busy loop is not flooded with messages. */
  readonly pending: SharedArrayBuffer;
}

declare const self: {
  onmessage: ((event: { data: WaitOrder }) => void) | null;
  postMessage(message: "ready" | "wake"): void;
};

const FOREVER = -1;
const EINTR = -4;

self.onmessage = ({ data: { epoll, pending } }) => {
  const wakeUps = new Int32Array(pending);
  const event = pinForever(16);
  self.postMessage("ready");
  for (;;) {
    const count = trySys("epoll_pwait", epoll, event, 1, FOREVER, 0, 8);
    if (count === EINTR) continue;
    if (count < 0) sys("epoll_pwait", epoll, event, 1, 0, 0, 8);
    if (Atomics.exchange(wakeUps, 0, 1) === 0) self.postMessage("wake");
  }
};
