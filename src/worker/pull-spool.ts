// A download on its way to the disk: what has come is in a hidden file, which a later call goes on with after a cut, a
// crash or a reboot. Whoever uses the bytes reads them back from there, at his own pace, while more are coming.
import { createHash } from "node:crypto";
import { constants, openSync, readFileSync, readSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { ErrnoError } from "../base/error.ts";
import { Fd, statFd } from "../kernel/fd.ts";
import { sys } from "../kernel/sys.ts";
import { SpaceGuard } from "./archive.ts";
import { writeSparse } from "./import-raw.ts";
import { Stage, tryLock } from "./install-image.ts";
import { setLength } from "./untar-calls.ts";

const CHUNK = 1 << 20;
const SYNC_EVERY_BYTES = 256 << 20;

/** What a server said of the file, to find out later whether it is still the same. */
export interface Origin {
  readonly url: string;
  readonly etag: string | null;
  readonly lastModified: string | null;
  /** Null when the server did not say. */
  readonly size: number | null;
}

interface SpoolState extends Origin {
  readonly bootId: string;
  /** So much is safe on the disk, whatever happened to the machine. */
  readonly synced: number;
  /** The file has later parts too: its length does not say how far it is whole. */
  readonly hasParts?: boolean;
}

function bootId(): string {
  return readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
}

export class Spool implements Disposable {
  readonly #stage: Stage;
  #isTaken = false;
  readonly #statePath: string;
  readonly #guard: SpaceGuard;
  #origin: Origin | null = null;
  #end = 0;
  #syncedAt = 0;
  #isComplete = false;
  #hasParts = false;
  #generation = 0;
  #failure: unknown = null;
  #wake: () => void = () => {};

  private constructor(stage: Stage, statePath: string, root: Fd) {
    this.#stage = stage;
    this.#statePath = statePath;
    this.#guard = new SpaceGuard(root);
  }

  /** The spool of an address, with what an earlier call left in it. EBUSY when another process fills it now. */
  static open(root: Fd, url: string): Spool {
    const id = createHash("sha256").update(url).digest("hex").slice(0, 16);
    const name = `.#pull-${id}.part`;
    const path = `/proc/self/fd/${root.number}/`;
    const flags = constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW;
    const file = Fd.adopt(openSync(path + name, flags, 0o600));
    if (!tryLock(file)) {
      file.close();
      throw new ErrnoError("EBUSY", `Another transfer downloads '${url}' already.`);
    }
    const spool = new Spool(Stage.adopt(root, name, file), `${path}.#pull-${id}.state`, root);
    spool.#restore(url);
    return spool;
  }

  /** How many bytes are here, from the first on without a gap. */
  get end(): number {
    return this.#end;
  }

  /** What is here belongs to that; null when nothing is. */
  get origin(): Origin | null {
    return this.#origin;
  }

  get file(): Fd {
    return this.#stage.file;
  }

  #restore(url: string): void {
    const { size } = statFd(this.file);
    const state = this.#readState();
    const usable =
      state === null || state.url !== url
        ? 0
        : state.bootId === bootId() && !state.hasParts
          ? size
          : Math.min(state.synced, size);
    // Without something to compare, nobody could tell whether the server still has the same file.
    if (state === null || usable === 0 || !(state.etag || state.lastModified)) {
      this.restart();
      return;
    }
    setLength(this.file, usable);
    this.#origin = {
      url,
      etag: state.etag ?? null,
      lastModified: state.lastModified ?? null,
      size: state.size ?? null,
    };
    this.#end = usable;
    this.#syncedAt = Math.min(state.synced, usable);
  }

  #readState(): SpoolState | null {
    try {
      const state = JSON.parse(readFileSync(this.#statePath, "utf8")) as Partial<SpoolState>;
      const isWhole =
        typeof state.url === "string" && typeof state.synced === "number" && typeof state.bootId === "string";
      return isWhole ? (state as SpoolState) : null;
    } catch {
      return null;
    }
  }

  #writeState(): void {
    if (this.#origin === null) return;
    const state: SpoolState = {
      ...this.#origin,
      bootId: bootId(),
      synced: this.#syncedAt,
      hasParts: this.#hasParts,
    };
    writeFileSync(`${this.#statePath}.new`, JSON.stringify(state), { mode: 0o600 });
    renameSync(`${this.#statePath}.new`, this.#statePath);
  }

  /** Throws away what is here. */
  restart(): void {
    setLength(this.file, 0);
    rmSync(this.#statePath, { force: true });
    this.#origin = null;
    this.#end = 0;
    this.#syncedAt = 0;
    this.#hasParts = false;
    this.#generation++;
  }

  /** Notes what the bytes that come now belong to. */
  begin(origin: Origin): void {
    this.#origin = origin;
    if (origin.size !== null) this.#guard.require(origin.size - this.#end);
    this.#writeState();
  }

  append(chunk: Buffer): void {
    this.#guard.wrote(writeSparse(this.file, chunk, this.#end));
    this.#end += chunk.length;
    // Zeros at the end leave a hole: the length says how far the download is.
    if (chunk.at(-1) === 0) this.#lengthen();
    if (this.#end - this.#syncedAt >= SYNC_EVERY_BYTES) this.#checkpoint();
    this.#wake();
  }

  /** Changes with every start from the beginning: bytes of an earlier one are not of this file. */
  get generation(): number {
    return this.#generation;
  }

  /** Takes bytes of a later part, unless they belong to what was thrown away meanwhile. */
  putAhead(chunk: Buffer, position: number, generation: number): void {
    if (generation !== this.#generation || !this.file.isOpen) return;
    if (!this.#hasParts) {
      this.#hasParts = true;
      this.#checkpoint();
    }
    this.#guard.wrote(writeSparse(this.file, chunk, position));
  }

  /** Notes that the next `bytes` are here already. */
  advance(bytes: number): void {
    this.#end += bytes;
    this.#lengthen();
    this.#checkpoint();
    this.#wake();
  }

  /** Later parts may be there already: the file only grows. */
  #lengthen(): void {
    if (statFd(this.file).size < this.#end) setLength(this.file, this.#end);
  }

  #checkpoint(): void {
    sys("fdatasync", this.file.number);
    this.#syncedAt = this.#end;
    this.#writeState();
  }

  /** Whether the bytes at `position` are these. */
  matches(chunk: Buffer, position: number): boolean {
    const own = Buffer.alloc(chunk.length);
    return readSync(this.file.number, own, 0, own.length, position) === own.length && own.equals(chunk);
  }

  /** Says that all has come. */
  complete(): void {
    setLength(this.file, this.#end);
    this.#isComplete = true;
    this.#wake();
  }

  /** Says that the rest will not come: readers get the error. */
  fail(error: unknown): void {
    this.#failure = error;
    this.#wake();
  }

  /** Everything from the first byte on, as it comes. */
  async *chunks(): AsyncGenerator<Buffer> {
    for (let position = 0; ; ) {
      if (this.#failure !== null) throw this.#failure;
      if (position < this.#end) {
        const chunk = Buffer.allocUnsafeSlow(Math.min(CHUNK, this.#end - position));
        const count = readSync(this.file.number, chunk, 0, chunk.length, position);
        if (count === 0) throw new ErrnoError("EIO", "The downloaded file shrank while it was used.");
        position += count;
        yield chunk.subarray(0, count);
      } else if (this.#isComplete) return;
      else {
        const { promise, resolve } = Promise.withResolvers<void>();
        this.#wake = resolve;
        await promise;
      }
    }
  }

  /** Leaves it for a later call. */
  readonly keep = (): void => this.#stage.keep();

  /** Gives the file away, for it to become an image: nothing is left to go on with. */
  take(): Stage {
    rmSync(this.#statePath, { force: true });
    this.#isTaken = true;
    return this.#stage;
  }

  /** Removes it, unless it is kept or taken. */
  [Symbol.dispose](): void {
    if (this.#isTaken) return;
    if (this.#stage.isPending) rmSync(this.#statePath, { force: true });
    this.#stage[Symbol.dispose]();
  }
}
