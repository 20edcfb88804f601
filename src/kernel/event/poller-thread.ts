// The thread that waits. It blocks on an epoll which holds nothing but the poller's own epoll, and wakes the main thread
// when that one has news. A second entry point of the build: it must not import anything that main does not need.
import { EINTR } from "../syscall/constants.ts";
import { pinForever } from "../syscall/mem.ts";
import { sys, trySys } from "../syscall/sys.ts";

export interface WaitRequest {
  /** The epoll to block on. It is armed for one event at a time, so a busy loop is not flooded with wake-ups. */
  readonly epoll: number;
}

declare const self: {
  onmessage: ((event: { data: WaitRequest }) => void) | null;
  postMessage(message: "ready" | "wake"): void;
};

const FOREVER = -1;

self.onmessage = ({ data: { epoll } }) => {
  const event = pinForever(16);
  self.postMessage("ready");
  for (;;) {
    const count = trySys("epoll_pwait", epoll, event, 1, FOREVER, 0, 8);
    if (count === EINTR) continue;
    if (count < 0) sys("epoll_pwait", epoll, event, 1, 0, 0, 8);
    self.postMessage("wake");
  }
};
