// Ends a daemon that has been idle for a time; the next call starts it again. Each call restarts the one timer.

const USUAL_LIMIT_MS = 30_000;

interface IdleOptions {
  /** How long the daemon must be idle before it ends; null: it never ends by itself. */
  readonly afterMs: number | null;
  /** Whether there is nothing to do now. */
  isIdle(): boolean;
  /** Called when the time has passed and there is nothing to do. */
  expired(): void;
  /** Called when the time has passed but there is something to do; the timer restarts. */
  stays(): void;
}

export class IdleExit {
  readonly #options: IdleOptions;
  #timer: ReturnType<typeof setTimeout> | null = null;
  #holds = 0;

  constructor(options: IdleOptions) {
    this.#options = options;
  }

  /** Restarts the timer. */
  touch(): void {
    this.stop();
    const { afterMs } = this.#options;
    if (afterMs !== null) this.#timer = setTimeout(() => this.#check(), afterMs);
  }

  /** Keeps the daemon running until the returned function is called. */
  hold(): () => void {
    this.#holds++;
    return () => {
      this.#holds--;
      this.touch();
    };
  }

  stop(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }

  #check(): void {
    this.#timer = null;
    if (this.#holds === 0 && this.#options.isIdle()) this.#options.expired();
    else {
      this.#options.stays();
      this.touch();
    }
  }
}

/**
 * Returns the idle time in ms after which a daemon ends; null (never) where nothing would start it again or where
 * $SYSTEMD_EXIT_ON_IDLE is false. $MACHINED_IDLE_MS replaces the time.
 */
export function idleLimitMs(
  isActivatable: boolean,
  env: Readonly<Record<string, string | undefined>> = process.env,
): number | null {
  const wanted = Number(env["MACHINED_IDLE_MS"]);
  if (wanted > 0) return wanted;
  const mayExit = !/^(0|no|n|false|f|off)$/i.test(env["SYSTEMD_EXIT_ON_IDLE"] ?? "yes");
  return isActivatable && mayExit ? USUAL_LIMIT_MS : null;
}
