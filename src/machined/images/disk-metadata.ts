// The metadata of disk images, read by workers. Every user may ask, and each reading costs a process and a mount: so a
// result is cached while the image is unchanged, concurrent requests share one reading, and few readings run at once.
import { parseId } from "../../base/id128.ts";
import { statPath } from "../../kernel/file/fd.ts";
import { realtimeUsec } from "../../kernel/syscall/time.ts";
import type { Image } from "../../registry/image/image.ts";
import type { ImageMetadata } from "../../registry/image/metadata.ts";
import type { Operations } from "../../registry/operation.ts";

interface Reading {
  readonly stamp: string;
  readonly answer: Promise<ImageMetadata>;
}

/** The reply of the worker (src/worker/operations/disk-metadata.ts). */
interface Answer {
  readonly hostname: string;
  readonly machineId: string | null;
  readonly machineInfo: readonly (readonly [string, string])[];
  readonly osRelease: readonly (readonly [string, string])[];
}

const READINGS_AT_ONCE = 4;
const CACHE_SIZE = 256;
/** A file that was changed within this time before a reading may change again and have the same times. */
const SETTLED_USEC = 1_000_000n;

export class DiskMetadata {
  readonly #operations: Operations;
  readonly #cache = new Map<string, Reading>();
  readonly #waiting: (() => void)[] = [];
  #running = 0;

  constructor(operations: Operations) {
    this.#operations = operations;
  }

  /** Returns the metadata of a disk image or block device. Rejects with the worker's error. */
  async of({ path, type }: Image): Promise<ImageMetadata> {
    const { dev, ino, size, mtimeNs, ctimeNs } = statPath(path);
    const stamp = `${dev}:${ino} ${size} ${mtimeNs} ${ctimeNs}`;
    const known = this.#cache.get(path);
    if (known?.stamp === stamp) return known.answer;
    const reading = { stamp, answer: this.#read(path) };
    if (this.#cache.size >= CACHE_SIZE) this.#cache.clear();
    this.#cache.set(path, reading);
    // Not cached: devices, whose times do not show changes of their content, and failures, which may be temporary.
    const isSettled = type === "raw" && ctimeNs / 1000n < realtimeUsec() - SETTLED_USEC;
    const forget = () => this.#cache.get(path) === reading && this.#cache.delete(path);
    reading.answer.then(() => isSettled || forget(), forget);
    return reading.answer;
  }

  async #read(path: string): Promise<ImageMetadata> {
    await this.#turn();
    try {
      const answer = await this.#operations.run({ program: "disk-metadata", args: [path] });
      return metadataOf(answer as unknown as Answer);
    } finally {
      this.#running--;
      this.#waiting.shift()?.();
    }
  }

  async #turn(): Promise<void> {
    while (this.#running >= READINGS_AT_ONCE) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    this.#running++;
  }
}

function metadataOf(answer: Answer): ImageMetadata {
  return {
    hostname: answer.hostname,
    machineId: parseId(answer.machineId ?? "") ?? null,
    machineInfo: new Map(answer.machineInfo),
    osRelease: new Map(answer.osRelease),
  };
}
