// A download that is consumed as it arrives, without a spool: an image that is written in place may be as large as the
// disk. After an interruption it is resumed, while this process lives.
import { Arrival } from "./arrival.ts";
import type { Destination } from "./destination.ts";
import { SpoolParts } from "./spool-parts.ts";
import type { Origin } from "./spool-state.ts";

/** How many bytes may wait for the consumer. */
const WAITING_BYTES = 8 << 20;

export class DirectDownload implements Destination {
  readonly isSequential = true;
  readonly generation = 0;
  readonly parts = new SpoolParts();
  readonly #hash = new Bun.CryptoHasher("sha256");
  #again = new Bun.CryptoHasher("sha256");
  #origin: Origin | null = null;
  #end = 0;
  #waiting: Buffer[] = [];
  #waitingBytes = 0;
  readonly #arrival = new Arrival();
  #goOn: () => void = () => {};

  get end(): number {
    return this.#end;
  }

  get origin(): Origin | null {
    return this.#origin;
  }

  begin(origin: Origin): void {
    this.#origin = origin;
  }

  async append(chunk: Buffer): Promise<void> {
    this.#hash.update(chunk);
    this.#end += chunk.length;
    this.#waiting.push(chunk);
    this.#waitingBytes += chunk.length;
    this.#arrival.wake();
    if (this.#waitingBytes < WAITING_BYTES) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#goOn = resolve;
    await promise;
  }

  /** Hashes a repeated beginning, because the consumed bytes are not kept; at its end the hashes are compared. */
  matches(chunk: Buffer, position: number): boolean {
    if (position === 0) this.#again = new Bun.CryptoHasher("sha256");
    this.#again.update(chunk);
    if (position + chunk.length < this.#end) return true;
    return this.#again.digest("hex") === this.#hash.copy().digest("hex");
  }

  putAhead(): boolean {
    return false;
  }

  joinParts(): void {}

  complete(): void {
    this.#arrival.complete();
  }

  fail(error: unknown): void {
    this.#arrival.fail(error);
  }

  /** Returns all bytes from the first one on, once. */
  async *chunks(): AsyncGenerator<Buffer> {
    for (;;) {
      const chunk = this.#waiting.shift();
      if (chunk !== undefined) {
        this.#waitingBytes -= chunk.length;
        if (this.#waitingBytes < WAITING_BYTES) this.#goOn();
        yield chunk;
      } else if (!(await this.#arrival.waitForMore())) return;
    }
  }
}
