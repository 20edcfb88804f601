// A login that the daemon passes to a worker, on standard input: command lines and logs are public.
import { readSync } from "node:fs";

const LIMIT_BYTES = 256 << 10;
const STDIN = 0;

/** Returns the fields of the object on standard input; none for any other text. */
export function readLoginInput(): Readonly<Record<string, unknown>> {
  const bytes = Buffer.alloc(LIMIT_BYTES);
  let size = 0;
  for (let count = -1; count !== 0 && size < bytes.length; size += count) {
    count = readSync(STDIN, bytes, size, bytes.length - size, null);
  }
  try {
    return (JSON.parse(bytes.toString("utf8", 0, size)) ?? {}) as Readonly<Record<string, unknown>>;
  } catch {
    return {};
  }
}
