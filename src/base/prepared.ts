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

/**
 * Returns a function from items to a prepared list of their rows; it returns the previous list while the items are
 * unchanged.
 */
export function preparer<Thing, Item>(rowOf: (thing: Thing) => Item): (things: Iterable<Thing>) => Prepared<Item> {
  let listed: readonly Thing[] = [];
  let rows = new Prepared<Item>([]);
  return (things) => {
    if (things === listed) return rows;
    const now = [...things];
    if (now.length !== listed.length || now.some((thing, index) => thing !== listed[index])) {
      rows = new Prepared(now.map(rowOf));
    }
    listed = Array.isArray(things) ? things : now;
    return rows;
  };
}
