// The poller's waiting thread. It blocks on an epoll whose only member is the poller's epoll, and posts a message to
// the main thread when that is ready. A separate entry point of the build: it must not import anything that main does
// not need.
import { EINTR } from "../syscall/constants.ts";
import { pinForever } from "../syscall/mem.ts";
import { sys, trySys } from "../syscall/sys.ts";

export interface WaitRequest {
  /** The epoll to block on. Its member is EPOLLONESHOT, so that a busy main thread gets one wake-up at a time. */
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
