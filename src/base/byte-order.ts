// The order of strings by their UTF-8 bytes, as strcmp(3) compares: the order in which the systemd tools list.

/** Compares two strings by their UTF-8 bytes; negative when the first sorts first. */
export function compareBytes(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}

const SURROGATE = /[\ud800-\udfff]/;

/** Returns the items sorted by the UTF-8 bytes of `textOf(item)`; equal ones keep their order. */
export function sortedByBytes<T>(items: readonly T[], textOf: (item: T) => string): T[] {
  let keys = items.map(textOf);
  // JavaScript compares UTF-16 units, which differs from the order of UTF-8 bytes only for characters above U+FFFF.
  // Such keys are encoded once, with one character for each byte.
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
