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
