// Splits the bytes of a connection into D-Bus messages, with limits of their lengths.
import { GrowingBuffer } from "../growing-buffer.ts";
import { MESSAGE_TYPE, measure } from "../message/message.ts";

/** The bytes of a message that have its lengths. */
const PREFIX_BYTES = 16;
const LEAST_BYTES = 4 << 10;
const MESSAGE_LIMIT_BYTES = 16 << 20;
/** Calls of these services are much shorter. A longer one is answered with an error and not decoded. */
const CALL_LIMIT_BYTES = 2 << 20;

interface FramerHandlers {
  /** Whether messages are still wanted; asked before each. */
  isOpen(): boolean;
  /**
   * A message has arrived; its head has `head` bytes. With `isCut` it is longer than its limit, and only its head was
   * kept.
   */
  message(bytes: Buffer, head: number, isCut: boolean): void;
  /** A message whose head alone is longer than the limit is skipped. Without this handler, `feed()` throws. */
  tooLong?(bytes: number): void;
}

/** Returns the limit in bytes of a message that begins with `head`. */
export function limitOf(head: Buffer): number {
  return head[1] === MESSAGE_TYPE.call ? CALL_LIMIT_BYTES : MESSAGE_LIMIT_BYTES;
}

export class Framer {
  readonly #handlers: FramerHandlers;
  /** The beginning of a message whose end has not arrived. */
  readonly #pending = new GrowingBuffer(LEAST_BYTES);
  /** The number of bytes of the last message that are still to skip. */
  #skip = 0;

  constructor(handlers: FramerHandlers) {
    this.#handlers = handlers;
  }

  /** The memory of an incomplete message. */
  get heldBytes(): number {
    return this.#pending.heldBytes;
  }

  /**
   * Takes the next bytes of the connection. A message that is complete in them is passed on without being copied; an
   * incomplete one is collected. Throws a RangeError for bytes that are no message, and what the handlers throw.
   */
  feed(chunk: Buffer): void {
    for (let at = 0; at < chunk.length && this.#handlers.isOpen(); ) at += this.#step(chunk.subarray(at));
  }

  /** Handles the beginning of `bytes`; returns how many of them. */
  #step(bytes: Buffer): number {
    if (this.#skip > 0) {
      const step = Math.min(this.#skip, bytes.length);
      this.#skip -= step;
      return step;
    }
    const used = this.#pending.length === 0 ? this.#direct(bytes) : 0;
    return used === 0 ? this.#collect(bytes) : used;
  }

  /** Delivers a message that is complete in `bytes`; returns its length, or 0. */
  #direct(bytes: Buffer): number {
    if (bytes.length < PREFIX_BYTES) return 0;
    const size = measure(bytes);
    if (size.total > limitOf(bytes) || size.total > bytes.length) return 0;
    this.#handlers.message(bytes.subarray(0, size.total), size.head, false);
    return size.total;
  }

  /** Takes the missing part of the current message from `bytes`; returns its length. */
  #collect(bytes: Buffer): number {
    let used = this.#fill(bytes, PREFIX_BYTES);
    if (this.#pending.length < PREFIX_BYTES) return used;
    const size = measure(this.#pending.bytes);
    if (size.head > MESSAGE_LIMIT_BYTES) {
      this.#passOver(size.total);
      return used;
    }
    const isCut = size.total > limitOf(this.#pending.bytes);
    const wanted = isCut ? size.head : size.total;
    used += this.#fill(bytes.subarray(used), wanted);
    if (this.#pending.length < wanted) return used;
    const message = this.#pending.take();
    this.#skip = size.total - wanted;
    this.#handlers.message(message, size.head, isCut);
    return used;
  }

  /** Skips a message, where the handler allows that. */
  #passOver(total: number): void {
    const { tooLong } = this.#handlers;
    if (tooLong === undefined) throw new RangeError(`message header is longer than ${MESSAGE_LIMIT_BYTES >> 20} MiB`);
    tooLong(total);
    this.#skip = total - this.#pending.length;
    this.#pending.clear();
  }

  /** Appends bytes until `wanted` are there; returns how many. */
  #fill(bytes: Buffer, wanted: number): number {
    const take = Math.min(Math.max(wanted - this.#pending.length, 0), bytes.length);
    this.#pending.append(bytes.subarray(0, take));
    return take;
  }
}
