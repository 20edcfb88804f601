// The order of texts by the bytes of their UTF-8, in which the systemd tools list (strcmp(3)).

/** Compares two texts; negative when the first comes first. */
export function compareBytes(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}

const SURROGATE = /[\ud800-\udfff]/;

/** The items in the order of a text of theirs. */
export function sortedByBytes<T>(items: readonly T[], textOf: (item: T) => string): T[] {
  const keyed = items.map((item) => ({ item, key: textOf(item) }));
  // Only characters beyond the first 65 536 stand elsewhere in the order of JavaScript's texts. Each byte a character:
  // such texts compare without being encoded again for each comparison.
  if (SURROGATE.test(keyed.map(({ key }) => key).join("\0"))) {
    for (const one of keyed) one.key = Buffer.from(one.key).toString("latin1");
  }
  if (keyed.every(({ key }, index) => index === 0 || (keyed[index - 1]?.key ?? "") <= key)) return [...items];
  keyed.sort((a, b) => (a.key < b.key ? -1 : Number(a.key > b.key)));
  return keyed.map(({ item }) => item);
}
