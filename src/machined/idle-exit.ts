// Ends a daemon that has nothing to keep. Nothing runs while it is idle but one timer, set after the last thing that
// happened.

const IDLE_MS = 30_000;

export class IdleExit {
  readonly #isEnabled: boolean;
  readonly #isIdle: () => boolean;
  readonly #exit: () => void;
  #timer: ReturnType<typeof setTimeout> | null = null;

  /** SYSTEMD_EXIT_ON_IDLE=0 keeps the daemon running all the same. */
  constructor(isWanted: boolean, isIdle: () => boolean, exit: () => void) {
    this.#isEnabled = isWanted && process.env["SYSTEMD_EXIT_ON_IDLE"] !== "0";
    this.#isIdle = isIdle;
    this.#exit = exit;
  }

  /** Something happened: half a minute from now it is time to look again. */
  touch(): void {
    if (!this.#isEnabled) return;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#timer = null;
      if (this.#isIdle()) this.#exit();
      else this.touch();
    }, IDLE_MS);
  }
}
