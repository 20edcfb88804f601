// Memory that the kernel may write to, and the addresses of it: the only user of ptr().
//
// The address of a small typed array is not stable: the engine moves its storage when the code around it gets optimised
// or when somebody reads `.buffer`, and an address taken before points into freed memory. Two rules make addresses safe:
// memory handed to the kernel is an ArrayBuffer of its own, whose storage never moves, and somebody holds it until the
// kernel is done with it. `Pinned` is both.
import { ptr } from "bun:ffi";
import { SyscallError } from "./error.ts";

/** Reading an address holds its memory until this many further addresses were read: longer than any one system call. */
const HELD = 16;
const held: (Pinned | undefined)[] = new Array(HELD).fill(undefined);
let nextHeld = 0;

/** A block of memory that stays where it is. Keep the object, not the address, for as long as the kernel may use it. */
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

  /** Where the block begins, as an argument of a system call or as a pointer inside a structure. */
  get address(): number {
    held[nextHeld] = this;
    nextHeld = (nextHeld + 1) % HELD;
    return this.#address;
  }
}

/** `size` zero bytes that do not move. */
export function pin(size: number): Pinned {
  return new Pinned(size);
}

const permanent: Pinned[] = [];

/**
 * `size` zero bytes that live as long as the process: for the scratch structures of a module. A module-level constant is
 * not enough of a reference, the optimiser may drop it and keep the address.
 */
export function pinForever(size: number): Pinned {
  const pinned = new Pinned(size);
  permanent.push(pinned);
  return pinned;
}

/** `text` as a NUL-terminated string of its own; `EINVAL` when it contains a NUL. For long-lived strings. */
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
 * The address of `text` as a NUL-terminated string, for the system call that comes next: the place is used again after
 * some ten further paths. `EINVAL` when it contains a NUL, `ENAMETOOLONG` beyond 32 KiB.
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
