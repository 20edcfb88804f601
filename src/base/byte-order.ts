// The order of texts by the bytes of their UTF-8, in which the systemd tools list (strcmp(3)).

/** Compares two texts; negative when the first comes first. */
export function compareBytes(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}

const SURROGATE = /[\ud800-\udfff]/;

/** The items in the order of a text of theirs. */
export function sortedByBytes<T>(items: readonly T[], textOf: (item: T) => string): T[] {
  let keys = items.map(textOf);
  // Only characters beyond the first 65 536 stand elsewhere in the order of JavaScript's texts. Each byte a character:
  // such texts compare without being encoded again for each comparison.
  if (SURROGATE.test(keys.join("\0"))) keys = keys.map((key) => Buffer.from(key).toString("latin1"));
  if (isSorted(keys)) return [...items];
  const keyed = items.map((item, index) => ({ item, key: keys[index] as string }));
  keyed.sort((a, b) => (a.key < b.key ? -1 : Number(a.key > b.key)));
  return keyed.map(({ item }) => item);
}

function isSorted(texts: readonly string[]): boolean {
  for (let i = 1; i < texts.length; i++) if ((texts[i - 1] as string) > (texts[i] as string)) return false;
  return true;
}
