// A download that is being written to the disk: received bytes are in a hidden file, which a later call resumes after
// an interruption, a crash or a reboot. The consumer reads the bytes from that file, at its own pace, while further
// ones arrive.
import { fdatasync, readSync, rmSync } from "node:fs";
import { promisify } from "node:util";
import { ErrnoError, errnoNameOf } from "../../base/error.ts";
import { formatBytes } from "../../base/text/format.ts";
import { avoidCopyOnWrite } from "../../kernel/file/attributes.ts";
import { type Fd, statFd } from "../../kernel/file/fd.ts";
import { sys } from "../../kernel/syscall/sys.ts";
import { Stage } from "../image/stage.ts";
import { writeSparse } from "../image/write-raw.ts";
import { keepWhenInterrupted } from "../program/abandon.ts";
import { type Spending, transferBudget } from "../program/budget.ts";
import { log } from "../program/log.ts";
import { CHUNK, lendChunk } from "../stream/chunk-memory.ts";
import { setLength } from "../untar/calls.ts";
import { Arrival } from "./arrival.ts";
import type { Destination } from "./destination.ts";
import { openSpoolFile } from "./spool-file.ts";
import { SpoolParts } from "./spool-parts.ts";
import { bootId, type Origin, readState, type SpoolState, usableOf, writeState } from "./spool-state.ts";

/**
 * Shorter pieces are copied, because each would otherwise keep a whole chunk in memory while it waits for a decoder.
 */
const SMALL = CHUNK / 4;
const SYNC_EVERY_BYTES = 256 << 20;
const syncLater = promisify(fdatasync);
/** The state of parts is written after this many bytes: a killed process loses at most this much. */
const NOTE_EVERY_BYTES = 1 << 20;

/** How often a transfer that waits for another one checks whether it has ended. */
const LOOK_AGAIN_MS = 100;

type SpoolUse = "tar" | "raw" | "oci";

/** A spool; it owns its file, which it removes unless the download is kept or becomes an image. */
export class Spool implements Destination, Disposable {
  readonly isSequential = false;
  readonly #stage: Stage;
  readonly #interruption = keepWhenInterrupted(this);
  #isKept = false;
  readonly #statePath: string;
  readonly #guard: Spending;
  #origin: Origin | null = null;
  #end = 0;
  #syncedAt = 0;
  #syncingAt = 0;
  /** The syncs on another thread, one after the other, and how many of them are not over. */
  #syncing = Promise.resolve();
  #syncs = 0;
  #syncFailure: unknown = null;
  readonly #arrival = new Arrival();
  /** The ranges that were received after a gap. */
  readonly parts = new SpoolParts();
  #hasParts = false;
  #unnoted = 0;
  #generation = 0;

  private constructor(stage: Stage, statePath: string, root: Fd) {
    this.#stage = stage;
    this.#statePath = statePath;
    this.#guard = transferBudget.part(root);
  }

  /**
   * Opens the spool of an address, with the bytes of an earlier call. Throws EBUSY when another process fills it. A
   * file may be used in several ways: each `use` of an address has a spool of its own.
   */
  static open(root: Fd, use: SpoolUse, url: string): Spool {
    const id = new Bun.CryptoHasher("sha256").update(`${use} ${url}`).digest("hex").slice(0, 16);
    const name = `.#pull-${id}.part`;
    const path = `/proc/self/fd/${root.number}/`;
    const file = openSpoolFile(root, name);
    if (file === null) throw new ErrnoError("EBUSY", `Another transfer downloads '${url}' already.`);
    // The file may become a disk image.
    if (statFd(file).size === 0) avoidCopyOnWrite(file);
    const spool = new Spool(Stage.adopt(root, name, file), `${path}.#pull-${id}.state`, root);
    spool.#restore(url);
    return spool;
  }

  /** As `open()`, but waits while another process fills the spool; returns null once `isHere` returns true. */
  static async openWhenFree(root: Fd, use: SpoolUse, url: string, isHere: () => boolean): Promise<Spool | null> {
    for (let waited = false; ; waited = true) {
      if (waited && isHere()) return null;
      try {
        const spool = Spool.open(root, use, url);
        if (!waited || !isHere()) return spool;
        spool[Symbol.dispose]();
        return null;
      } catch (error) {
        if (errnoNameOf(error) !== "EBUSY") throw error;
        if (!waited) log("info", `Another transfer downloads '${url}' already, waiting for it.`);
      }
      await Bun.sleep(LOOK_AGAIN_MS);
    }
  }

  /** How many bytes are spooled from the beginning without a gap. */
  get end(): number {
    return this.#end;
  }

  /** The version of the file that the spooled bytes belong to; null when nothing is spooled. */
  get origin(): Origin | null {
    return this.#origin;
  }

  get file(): Fd {
    return this.#stage.file;
  }

  #restore(url: string): void {
    const state = readState(this.#statePath);
    const { usable, parts } = usableOf(state?.url === url ? state : null, statFd(this.file).size);
    // Without a tag or a date, the spooled bytes cannot be compared with the server's file.
    if (state === null || usable === 0 || !(state.etag || state.lastModified)) {
      this.restart();
      return;
    }
    this.parts.reset(parts);
    setLength(this.file, this.parts.end ?? usable);
    const { etag = null, lastModified = null, size = null } = state;
    this.#origin = { url, etag, lastModified, size };
    this.#end = this.parts.join(usable);
    this.#hasParts = parts.length > 0;
    this.#syncedAt = Math.min(state.synced, usable);
    this.#syncingAt = this.#syncedAt;
  }

  #writeState(): void {
    if (this.#origin === null) return;
    const state: SpoolState = {
      ...this.#origin,
      bootId: bootId(),
      synced: this.#syncedAt,
      ...(this.#hasParts ? { end: this.#end, parts: this.parts.list } : {}),
    };
    this.#unnoted = 0;
    writeState(this.#statePath, state);
  }

  /** Drops all spooled bytes. */
  restart(): void {
    setLength(this.file, 0);
    rmSync(this.#statePath, { force: true });
    this.#origin = null;
    this.#end = 0;
    this.#syncedAt = 0;
    this.#syncingAt = 0;
    this.#hasParts = false;
    this.parts.reset([]);
    this.#generation++;
  }

  /** Records the version of the file that the following bytes belong to. */
  begin(origin: Origin): void {
    this.#origin = origin;
    if (origin.size !== null) this.#warnOfSpace(origin.size - this.#end);
    this.#writeState();
  }

  /**
   * Warns where the disk is probably too small. It is no error: a disk image may be mostly zeros, which take no space.
   */
  #warnOfSpace(bytes: number): void {
    const available = this.#guard.lacking(bytes);
    if (available === null) return;
    const [needed, left] = [formatBytes(BigInt(bytes)), formatBytes(BigInt(available))];
    log("warning", `${needed} are to be downloaded, and the disk has ${left} left: that may be too little.`);
  }

  append(chunk: Buffer): void {
    this.#throwSyncFailure();
    this.#guard.wrote(writeSparse(this.file, chunk, this.#end));
    this.#end += chunk.length;
    // Zeros at the end leave a hole: the length says how far the download is.
    if (chunk.at(-1) === 0) this.#lengthen(this.#end);
    if (this.#end - this.#syncingAt >= SYNC_EVERY_BYTES) this.#checkpoint();
    this.#note(chunk.length);
    this.#arrival.wake();
  }

  /** Changes with every restart from the beginning: bytes of an earlier start may be of another file. */
  get generation(): number {
    return this.#generation;
  }

  /** Writes bytes of a later part. Returns false where they belong to a version that was dropped meanwhile. */
  putAhead(chunk: Buffer, position: number, generation: number): boolean {
    if (generation !== this.#generation || !this.file.isOpen) return false;
    if (!this.#hasParts) {
      this.#hasParts = true;
      this.#writeState();
    }
    this.#guard.wrote(writeSparse(this.file, chunk, position));
    this.parts.add(position, chunk.length);
    // A part may end in a hole.
    this.#lengthen(position + chunk.length);
    this.#note(chunk.length);
    return true;
  }

  /** Writes the state after every NOTE_EVERY_BYTES: with later parts, the file's length does not show what exists. */
  #note(bytes: number): void {
    this.#unnoted += bytes;
    if (this.#hasParts && this.#unnoted >= NOTE_EVERY_BYTES) this.#writeState();
  }

  /** Joins the parts that the contiguous beginning has reached. */
  joinParts(): void {
    const end = this.parts.join(this.#end);
    if (end === this.#end) return;
    this.#end = end;
    this.#writeState();
    this.#arrival.wake();
  }

  /** Never shortens the file: later parts may exist already. */
  #lengthen(end: number): void {
    if (statFd(this.file).size < end) setLength(this.file, end);
  }

  /** Syncs the spooled bytes on another thread, so that this one continues to receive. */
  #checkpoint(): void {
    this.#syncingAt = this.#end;
    this.#syncing = this.#sync(this.#end, this.#generation, this.#syncing);
  }

  async #sync(end: number, generation: number, before: Promise<void>): Promise<void> {
    const isOver = () => generation !== this.#generation || !this.#stage.isPending;
    this.#syncs++;
    await before;
    try {
      if (isOver()) return;
      await syncLater(this.file.number);
      if (isOver()) return;
      this.#syncedAt = end;
      this.#writeState();
    } catch (error) {
      if (!isOver()) this.#syncFailure ??= error;
    } finally {
      this.#syncs--;
    }
  }

  /** Throws the error of an earlier sync. The kernel reports lost data once: the next sync of the file succeeds. */
  #throwSyncFailure(): void {
    if (this.#syncFailure !== null) throw this.#syncFailure;
  }

  /** Waits for the syncs that run, before the file becomes an image. Throws where one of them has failed. */
  async synced(): Promise<void> {
    await this.#syncing;
    this.#throwSyncFailure();
  }

  matches(chunk: Buffer, position: number): boolean {
    const own = Buffer.alloc(chunk.length);
    return readSync(this.file.number, own, 0, own.length, position) === own.length && own.equals(chunk);
  }

  /** Marks the download as complete. */
  complete(): void {
    setLength(this.file, this.#end);
    this.#arrival.complete();
  }

  /** Marks the download as failed: readers get the error. */
  fail(error: unknown): void {
    this.#arrival.fail(error);
  }

  /** Returns all bytes from the first one on, as they arrive. */
  async *chunks(): AsyncGenerator<Buffer> {
    for (let position = 0; ; ) {
      this.#arrival.throwFailure();
      if (position < this.#end) {
        const size = Math.min(CHUNK, this.#end - position);
        const chunk = size < SMALL ? Buffer.allocUnsafeSlow(size) : lendChunk();
        const count = readSync(this.file.number, chunk, 0, size, position);
        if (count === 0) throw new ErrnoError("EIO", "The downloaded file shrank while it was used.");
        position += count;
        yield chunk.subarray(0, count);
      } else if (!(await this.#arrival.waitForMore())) return;
    }
  }

  /** Keeps the file for a later call, where it can be resumed. */
  keep(): void {
    if (this.#end === 0 || !(this.#origin?.etag || this.#origin?.lastModified) || !this.#stage.isPending) return;
    if (this.#syncFailure !== null) return;
    sys("fdatasync", this.file.number);
    // A sync that still runs may be the one that is told of an error.
    if (this.#syncs === 0) this.#syncedAt = this.#end;
    this.#writeState();
    this.#interruption.settled();
    this.#isKept = true;
    this.#stage.keep();
  }

  /** Returns the file, which is about to become an image. Until it is one, a later call can resume it. */
  get stage(): Stage {
    return this.#stage;
  }

  /** Removes the file, unless it is kept; where it became an image, removes the state beside it. */
  [Symbol.dispose](): void {
    this.#interruption.settled();
    if (!this.#isKept) rmSync(this.#statePath, { force: true });
    this.#stage[Symbol.dispose]();
  }
}
