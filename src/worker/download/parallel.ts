// Several connections for one large file, where a single connection is slow: later parts are downloaded on further
// connections. When one of them fails, the first connection downloads its part, too.
import { log } from "../program/log.ts";
import type { Destination } from "./destination.ts";
import type { Get } from "./http.ts";
import type { JobLimits } from "./limits.ts";

interface Part {
  readonly start: number;
  readonly end: number;
  have: number;
  done: Promise<void>;
}

interface ParallelFile {
  readonly url: string;
  readonly etag: string;
  readonly size: number;
}

export class ParallelParts {
  readonly #file: ParallelFile;
  readonly #spool: Destination;
  readonly #limits: JobLimits;
  readonly #get: Get;
  readonly #startedAt = performance.now();
  #parts: Part[] | null = null;
  #isFilling = false;

  constructor(file: ParallelFile, spool: Destination, limits: JobLimits, get: Get) {
    this.#file = file;
    this.#spool = spool;
    this.#limits = limits;
    this.#get = get;
  }

  /** The end of the first connection's part; null while it is alone, or where parts that exist already determine it. */
  get boundary(): number | null {
    return this.#isFilling ? null : (this.#parts?.[0]?.start ?? null);
  }

  /** Downloads what the parts of an earlier call leave out: the gaps between them and after the last one. */
  fill(): void {
    if (this.#parts !== null) return;
    this.#isFilling = true;
    this.#begin(this.#spool.parts.gaps(this.#file.size));
  }

  /** Decides, once, whether further connections make the download faster. */
  consider(position: number, taken: number): void {
    const { parallel } = this.#limits;
    if (this.#parts !== null || taken < parallel.trialBytes) return;
    const rate = (taken * 1000) / (performance.now() - this.#startedAt);
    const left = this.#file.size - position;
    const pays = rate < parallel.fastBytesPerSecond && left > 2 * parallel.trialBytes;
    this.#parts = [];
    if (!pays) return;
    const step = Math.ceil(left / parallel.connections);
    const starts = Array.from({ length: parallel.connections - 1 }, (_, index) => position + (index + 1) * step);
    this.#begin(starts.map((start) => ({ start, end: Math.min(start + step, this.#file.size) })));
  }

  #begin(ranges: readonly { start: number; end: number }[]): void {
    this.#parts = ranges.map((range) => {
      const part: Part = { ...range, have: 0, done: Promise.resolve() };
      part.done = this.#fetch(part).catch((error: unknown) => {
        log("debug", `Further connection failed: ${error instanceof Error ? error.message : String(error)}`);
      });
      return part;
    });
    if (this.#parts.length > 0) log("info", `Using ${this.#parts.length + 1} connections.`);
  }

  async #fetch(part: Part): Promise<void> {
    const { url, etag, size } = this.#file;
    const { generation } = this.#spool;
    const headers = { Range: `bytes=${part.start}-${part.end - 1}`, "If-Range": etag };
    const reply = await this.#get(url, { headers, limits: this.#limits });
    using body = reply.body;
    const wanted = `bytes ${part.start}-${part.end - 1}/${size}`;
    // As for the first connection: the reply must have the same strong tag.
    const isSame = reply.headers.get("etag") === etag;
    if (reply.status !== 206 || reply.headers.get("content-range") !== wanted || !isSame) return;
    for await (const chunk of body) {
      const fits = chunk.subarray(0, part.end - part.start - part.have);
      if (!this.#spool.putAhead(fits, part.start + part.have, generation)) return;
      part.have += fits.length;
      if (fits.length < chunk.length) return;
    }
  }

  /** Waits for the later parts. */
  async finish(): Promise<void> {
    await Promise.all((this.#parts ?? []).map(({ done }) => done));
  }
}
