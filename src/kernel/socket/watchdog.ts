// Telling the service manager that we are alive (sd_watchdog_enabled(3)), by what this program lives on: events that reach
// the main loop through the poller and its thread. A timer alone would go on in a daemon that is deaf.

import { watch } from "../event/poller.ts";
import { readSome, writeSome } from "../file/byte-io.ts";
import type { Fd } from "../file/fd.ts";
import { openPipe } from "../process/pipe.ts";
import { notify, watchdogIntervalUsec } from "./notify.ts";

/** A byte that is sent to ourselves, and must come back. */
export class Heartbeat {
  readonly #write: Fd;
  #isBack = true;

  /** `listen` is the poller's watch(). */
  constructor(listen: typeof watch = watch) {
    const [read, write] = openPipe();
    this.#write = write;
    listen(read, { read: true }, () => {
      while ((readSome(read)?.length ?? 0) > 0) this.#isBack = true;
    });
  }

  /** Whether the last beat has come back. If so, sends the next. */
  beat(): boolean {
    if (!this.#isBack) return false;
    this.#isBack = false;
    writeSome(this.#write, Buffer.of(0));
    return true;
  }
}

/** Feeds the service manager's watchdog, where there is one, for as long as the event loop of this process turns. */
export function feedWatchdog(): void {
  const interval = watchdogIntervalUsec();
  if (interval === null) return;
  const heartbeat = new Heartbeat();
  setInterval(() => {
    if (heartbeat.beat()) notify("WATCHDOG=1");
  }, interval / 2000);
}
