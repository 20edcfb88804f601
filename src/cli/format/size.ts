// Parses sizes in bytes: `1G`, `1.5M`, `1G 512M`, with base 1024 (machinectl(1), "set-limit").
import { UINT64_MAX } from "../../base/text/format.ts";

const UNITS = ["E", "P", "T", "G", "M", "K", "B", ""] as const;
const FACTORS: readonly bigint[] = [60n, 50n, 40n, 30n, 20n, 10n, 0n, 0n].map((shift) => 1n << shift);
const PART = /^\s*\+?(\d+)(?:\.(\d*))?\s*/;
const FRACTION_DIGITS = 18;

/** Returns bytes; undefined for text that is no size or exceeds 64 bits. Units must come in descending order. */
export function parseSize(text: string): bigint | undefined {
  let total = 0n;
  let least = 0;
  let rest = text;
  do {
    const match = PART.exec(rest);
    if (match === null) return undefined;
    rest = rest.slice(match[0].length);
    const unit = UNITS.findIndex((suffix, index) => index >= least && rest.startsWith(suffix));
    if (unit < 0) return undefined;
    rest = rest.slice((UNITS[unit] ?? "").length);
    least = unit + 1;
    total += bytesOf(match[1] ?? "", match[2] ?? "", FACTORS[unit] ?? 1n);
    if (total > UINT64_MAX) return undefined;
  } while (rest !== "");
  return total;
}

function bytesOf(whole: string, fraction: string, factor: bigint): bigint {
  const digits = fraction.slice(0, FRACTION_DIGITS);
  const part = digits === "" ? 0n : (BigInt(digits) * factor) / 10n ** BigInt(digits.length);
  return BigInt(whole) * factor + part;
}
