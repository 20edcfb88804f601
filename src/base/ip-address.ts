// IP addresses as text, as inet_ntop(3) writes them.

function dotted(bytes: readonly number[]): string {
  return bytes.join(".");
}

/** Returns the first of the longest runs of two or more zero groups; [-1, 0] where there is none. */
function longestZeroRun(groups: readonly number[]): [start: number, length: number] {
  let best: [number, number] = [-1, 0];
  for (let start = 0; start < groups.length; start++) {
    let end = start;
    while (groups[end] === 0) end++;
    if (end - start >= 2 && end - start > best[1]) best = [start, end - start];
    if (end > start) start = end;
  }
  return best;
}

function colons(bytes: readonly number[]): string {
  const groups = Array.from({ length: 8 }, (_, i) => ((bytes[2 * i] ?? 0) << 8) | (bytes[2 * i + 1] ?? 0));
  const [start, length] = longestZeroRun(groups);
  const carriesIpv4 = start === 0 && (length === 6 || (length === 5 && groups[5] === 0xffff));
  const tail = carriesIpv4 ? [dotted(bytes.slice(12))] : groups.slice(6).map((group) => group.toString(16));
  const parts = [...groups.slice(0, 6).map((group) => group.toString(16)), ...tail];
  if (start < 0) return parts.join(":");
  return `${parts.slice(0, start).join(":")}::${parts.slice(start + length).join(":")}`;
}

/** Formats an address of 4 or 16 bytes; returns the empty string for any other length. */
export function formatAddress(bytes: ArrayLike<number>): string {
  const list = Array.from(bytes);
  if (list.length === 4) return dotted(list);
  return list.length === 16 ? colons(list) : "";
}

const NOT_GLOBAL = /^(127\.|169\.254\.|fe[89ab]|::1$)/i;

/** Returns whether an address, as text, is neither loopback nor link-local. */
export function isGlobalAddress(text: string): boolean {
  return !NOT_GLOBAL.test(text);
}
