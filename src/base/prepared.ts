// Lists that are sent more often than they change.

/** A list whose encoding is kept with it: whoever sends it first fills `bytes` in. The value must not change any more. */
export class Prepared<Item> {
  readonly value: readonly Item[];
  /** As the transport has it at the beginning of a message; null until it was sent. */
  bytes: Buffer | null = null;

  constructor(value: readonly Item[]) {
    this.value = value;
  }
}

/** Makes lists of rows: as long as the things are the same, in the same order, it is the same list. */
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
