// Mutates inputs for the fuzzer: flips bits, truncates, repeats, splices, writes numbers at limits. Reproducible by a
// seed.

/** A pseudo random number generator. */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0 || 1;
  }

  /** Returns an integer from 0 to `below` - 1. */
  next(below: number): number {
    // xorshift32
    this.#state ^= this.#state << 13;
    this.#state ^= this.#state >>> 17;
    this.#state ^= this.#state << 5;
    return (this.#state >>> 0) % below;
  }
}

const NUMBERS = [0, 1, 2, 4, 7, 8, 255, 256, 0x7fff, 0x8000, 0xffff, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff];
const TOKENS = [
  "\0",
  "\n",
  '"',
  "\\",
  "{",
  "}",
  "[",
  "]",
  "=",
  "#",
  "a{sv}",
  "(((",
  "v",
  "\\u0000",
  "\ud800",
  "-",
  "1e999",
];

type Mutation = (bytes: Buffer, random: Random, other: Buffer) => Buffer;

const MUTATIONS: readonly Mutation[] = [
  (bytes, random) => {
    const copy = Buffer.from(bytes);
    for (let i = 0; i <= random.next(4) && copy.length > 0; i++) {
      const at = random.next(copy.length);
      copy[at] = (copy[at] as number) ^ (1 << random.next(8));
    }
    return copy;
  },
  (bytes, random) => {
    const copy = Buffer.from(bytes);
    if (copy.length < 4) return copy;
    copy.writeUInt32LE(NUMBERS[random.next(NUMBERS.length)] as number, random.next(copy.length - 3));
    return copy;
  },
  (bytes, random) => bytes.subarray(0, random.next(bytes.length + 1)),
  (bytes, random) => bytes.subarray(random.next(bytes.length + 1)),
  (bytes, random) => {
    const at = random.next(bytes.length + 1);
    const piece = bytes.subarray(at, at + random.next(32));
    return Buffer.concat([
      bytes.subarray(0, at),
      ...Array.from({ length: 1 + random.next(64) }, () => piece),
      bytes.subarray(at),
    ]);
  },
  (bytes, random, other) => {
    const at = random.next(bytes.length + 1);
    const from = random.next(other.length + 1);
    return Buffer.concat([bytes.subarray(0, at), other.subarray(from, from + random.next(64)), bytes.subarray(at)]);
  },
  (bytes, random) => {
    const at = random.next(bytes.length + 1);
    const token = Buffer.from(TOKENS[random.next(TOKENS.length)] as string);
    return Buffer.concat([bytes.subarray(0, at), token, bytes.subarray(at + random.next(2) * token.length)]);
  },
];

/** Returns a mutated copy of one of the seeds, of at most 1 MiB. */
export function mutate(seeds: readonly Buffer[], random: Random): Buffer {
  const pick = () => seeds[random.next(seeds.length)] as Buffer;
  let bytes = pick();
  for (let i = 0; i <= random.next(5); i++) {
    bytes = (MUTATIONS[random.next(MUTATIONS.length)] as Mutation)(bytes, random, pick());
  }
  return bytes.length > 1 << 20 ? bytes.subarray(0, 1 << 20) : bytes;
}
