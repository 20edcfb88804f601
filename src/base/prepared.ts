// Prepared lists: lists that are sent more often than they change, kept together with their encoding.

/**
 * A list with its encoding, which the transport stores when it sends the list for the first time. The value must not
 * change.
 */
export class Prepared<Item> {
  readonly value: readonly Item[];
  /**
   * The encoding for the transport, for D-Bus at the beginning of a message body; null until the list has been sent
   * once.
   */
  bytes: Buffer | null = null;

  constructor(value: readonly Item[]) {
    this.value = value;
  }
}

/** The list that was asked for last, with its rows. */
interface Kept<Thing, Item> {
  readonly things: readonly Thing[];
  readonly rows: Prepared<Item>;
}

/**
 * Returns a function from items to a prepared list of their rows; it returns the previous list while the items are
 * unchanged. The next garbage collection forgets that list, which would otherwise keep items that are gone.
 */
export function preparer<Thing, Item>(rowOf: (thing: Thing) => Item): (things: Iterable<Thing>) => Prepared<Item> {
  let last: WeakRef<Kept<Thing, Item>> | null = null;
  return (things) => {
    const kept = last?.deref();
    if (kept !== undefined && things === kept.things) return kept.rows;
    const now = [...things];
    const isSame = kept?.things.length === now.length && now.every((thing, index) => thing === kept.things[index]);
    const rows = isSame ? kept.rows : new Prepared(now.map(rowOf));
    last = new WeakRef({ things: Array.isArray(things) ? things : now, rows });
    return rows;
  };
}
