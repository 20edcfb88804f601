// The progress of a transfer: sent to the daemon as X_IMPORT_PROGRESS, and to the admin as log lines, both at a limited
// rate.
import { notify } from "../../kernel/socket/notify.ts";
import { log } from "./log.ts";

const NOTIFY_INTERVAL_MS = 100;
const LOG_INTERVAL_MS = 1000;

/** Reports percentages that never fall and never pass 100. A percentage is reported when it is reached, not before. */
export class Progress {
  readonly #line: (percent: number) => string | null;
  #percent = -1;
  #notifiedAt = Number.NEGATIVE_INFINITY;
  #loggedAt = Number.NEGATIVE_INFINITY;

  /** `line` formats a percentage for the log; null: it is not logged. */
  constructor(line: (percent: number) => string | null = () => null) {
    this.#line = line;
  }

  /** Sets the progress to `percent`; reports it unless a report was sent a moment ago. */
  report(percent: number): void {
    const now = performance.now();
    const whole = Math.min(100, Math.floor(percent));
    if (whole <= this.#percent || now - this.#notifiedAt < NOTIFY_INTERVAL_MS) return;
    this.#tell(whole, now);
  }

  /** Sets the beginning of a stage, which is reported at once. */
  stage(percent: number): void {
    if (percent > this.#percent) this.#tell(percent, performance.now());
  }

  #tell(percent: number, now: number): void {
    this.#percent = percent;
    this.#notifiedAt = now;
    try {
      notify(`X_IMPORT_PROGRESS=${percent}%`);
    } catch {
      // The daemon has ended; the transfer does not need it.
    }
    if (percent === 0 || now - this.#loggedAt < LOG_INTERVAL_MS) return;
    const line = this.#line(percent);
    if (line === null) return;
    this.#loggedAt = now;
    log("info", line);
  }
}
