// Memory for system calls, and its addresses. No other module may call ptr() of bun:ffi.
//
// The address of a small typed array is not stable: the engine moves its storage when it optimises the surrounding code
// or when `.buffer` is read, and an address taken before then points into freed memory. Two rules make addresses safe:
// memory for the kernel is an ArrayBuffer of its own, whose storage never moves; and it is referenced until the kernel
// is done with it. `Pinned` ensures both.
import { ptr } from "bun:ffi";
import { SyscallError } from "./error.ts";

/**
 * Reading an address references its memory until this many further addresses were read: more than one system call
 * needs.
 */
const HELD = 16;
const held: (Pinned | undefined)[] = new Array(HELD).fill(undefined);
let nextHeld = 0;

/** A block of memory that never moves. Keep the object, not its address, for as long as the kernel may use it. */
export class Pinned {
  readonly bytes: Buffer;
  readonly view: DataView;
  readonly size: number;
  readonly #address: number;

  constructor(size: number) {
    const storage = new ArrayBuffer(Math.max(size, 1));
    this.bytes = Buffer.from(storage, 0, size);
    this.view = new DataView(storage);
    this.size = size;
    this.#address = ptr(storage);
  }

  /** The address of the block, as an argument of a system call or as a pointer inside a structure. */
  get address(): number {
    held[nextHeld] = this;
    nextHeld = (nextHeld + 1) % HELD;
    return this.#address;
  }
}

/** Returns `size` zero bytes that never move. */
export function pin(size: number): Pinned {
  return new Pinned(size);
}

const permanent: Pinned[] = [];

/**
 * Returns `size` zero bytes that live as long as the process, for the scratch structures of a module. A module-level
 * constant alone is not a safe reference: the optimiser may drop it and keep the address.
 */
export function pinForever(size: number): Pinned {
  const pinned = new Pinned(size);
  permanent.push(pinned);
  return pinned;
}

/**
 * Returns `text` as a NUL-terminated string in memory of its own; throws `EINVAL` where it contains a NUL. For
 * long-lived strings.
 */
export function cstring(text: string): Pinned {
  const pinned = new Pinned(Buffer.byteLength(text) + 1);
  refuseNul(text);
  pinned.bytes.write(text);
  return pinned;
}

const STRINGS_SIZE = 128 * 1024;
const LONGEST_STRING = 32 * 1024;
const strings = pinForever(STRINGS_SIZE);
let stringsUsed = 0;

/**
 * Returns the address of `text` as a NUL-terminated string, for the next system call: its memory is a ring of 128 KiB
 * that further strings overwrite. Throws `EINVAL` where it contains a NUL, `ENAMETOOLONG` beyond 32 KiB.
 */
export function scratchString(text: string, encoding: "utf8" | "latin1" = "utf8"): number {
  refuseNul(text);
  const size = Buffer.byteLength(text, encoding) + 1;
  if (size > LONGEST_STRING) throw new SyscallError("path", "ENAMETOOLONG");
  if (stringsUsed + size > STRINGS_SIZE) stringsUsed = 0;
  const at = stringsUsed;
  strings.bytes.write(text, at, encoding);
  strings.bytes[at + size - 1] = 0;
  stringsUsed += size;
  return strings.address + at;
}

function refuseNul(text: string): void {
  if (text.includes("\0")) throw new SyscallError("path", "EINVAL", text);
}
