// When the daemon has had nothing to do for a while, so that it can end: whoever calls next starts another one.

export interface IdleOptions {
  readonly afterMs: number;
  /** Whether there is nothing to do now. */
  isIdle(): boolean;
  /** Nothing was to be done for that long. */
  expired(): void;
  /** Nobody called for that long, but there is something to do. */
  stays(): void;
}

export class IdleTimer {
  readonly #options: IdleOptions;
  #timer: ReturnType<typeof setTimeout> | null = null;
  #busy = 0;

  constructor(options: IdleOptions) {
    this.#options = options;
  }

  /** Something happened: the time starts anew. */
  touch(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#check(), this.#options.afterMs);
  }

  /** Something is under way until what this gives is called. */
  hold(): () => void {
    this.#busy++;
    return () => {
      this.#busy--;
      this.touch();
    };
  }

  stop(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }

  #check(): void {
    if (this.#busy === 0 && this.#options.isIdle()) this.#options.expired();
    else {
      this.#options.stays();
      this.touch();
    }
  }
}

const USUAL_LIMIT_MS = 30_000;
/** The longest time a timer can be set to: as good as for ever. */
const NEVER_MS = 0x7fff_ffff;

/**
 * After how long of having nothing to do the daemon ends: never where nobody would start it again, or where
 * $SYSTEMD_EXIT_ON_IDLE says no. MACHINED_IDLE_MS sets another time.
 */
export function idleLimitMs(
  isActivatable: boolean,
  env: Readonly<Record<string, string | undefined>> = process.env,
): number {
  const wanted = Number(env["MACHINED_IDLE_MS"]);
  if (wanted > 0) return wanted;
  const mayExit = !/^(0|no|n|false|f|off)$/i.test(env["SYSTEMD_EXIT_ON_IDLE"] ?? "yes");
  return isActivatable && mayExit ? USUAL_LIMIT_MS : NEVER_MS;
}
