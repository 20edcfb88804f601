// Gives way in long work, so that the other work of the event loop is done meanwhile.
import { inNextTurn } from "./next-turn.ts";

/** Yields to the other work of the event loop at intervals. */
export class Turns {
  readonly #sliceMs: number;
  #since = performance.now();

  /** `sliceMs` is how long work continues before it yields. */
  constructor(sliceMs: number) {
    this.#sliceMs = sliceMs;
  }

  /** Waits for the next turn of the event loop where the slice is used up; to be called after each piece of work. */
  async pass(): Promise<void> {
    if (!this.isOver) return;
    await new Promise<void>((resolve) => inNextTurn(resolve));
    this.#since = performance.now();
  }

  /** Whether the slice is used up, so that `pass()` waits. */
  get isOver(): boolean {
    return performance.now() - this.#since >= this.#sliceMs;
  }
}
