// Sends keep-alive messages to the service manager (sd_watchdog_enabled(3)), only while events arrive through the
// poller and its thread. A timer alone would continue in a daemon whose poller is broken.
import { type Watch, watch } from "../event/poller.ts";
import { readSome, writeSome } from "../file/byte-io.ts";
import type { Fd } from "../file/fd.ts";
import { openPipe } from "../process/pipe.ts";
import { notify, watchdogIntervalUsec } from "./notify.ts";

/** Tests the poller by a byte in a pipe to ourselves, which must be received. */
export class Heartbeat {
  readonly #write: Fd;
  #isReceived = true;

  /** `listen` replaces the poller's watch() in tests. */
  constructor(listen: (...words: Parameters<typeof watch>) => Watch = watch) {
    const [read, write] = openPipe();
    this.#write = write;
    listen(read, { read: true }, () => {
      while ((readSome(read)?.length ?? 0) > 0) this.#isReceived = true;
    });
  }

  /** Returns whether the last byte was received; if so, sends the next. */
  beat(): boolean {
    if (!this.#isReceived) return false;
    this.#isReceived = false;
    writeSome(this.#write, Buffer.of(0));
    return true;
  }
}

/**
 * Sends WATCHDOG=1 twice in each interval of the service manager's watchdog, where there is one, while the poller
 * works.
 */
export function feedWatchdog(): void {
  const interval = watchdogIntervalUsec();
  if (interval === null) return;
  const heartbeat = new Heartbeat();
  setInterval(() => {
    if (heartbeat.beat()) notify("WATCHDOG=1");
  }, interval / 2000);
}
