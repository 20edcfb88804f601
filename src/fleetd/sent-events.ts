// Which of the published events the server has acknowledged. In a cluster, it may have stored an event but not one
// before it, when another server began to lead the stream in between.

/**
 * Where publishing continues after the server has stored an event, but not one before it: that happens in a cluster
 * when another server begins to lead the stream. Null where the server's last event tells it.
 */
export interface EventGap {
  resume: {
    /** The last event before the first one that the server lacks; null for none. */
    readonly cursor: string | null;
    /** The ids of later events that it has. */
    readonly stored: ReadonlySet<string>;
  } | null;
}

/** Events in their order, from the first one on that the server has not acknowledged. */
export class SentEvents {
  readonly #sent: { readonly id: string; readonly cursor: string; isStored: boolean }[] = [];
  readonly #ahead: Set<string>;
  #cursor: string | null;

  /** `ahead`: the ids of events that the server has, although it lacks an earlier one. */
  constructor(cursor: string | null, ahead: ReadonlySet<string>) {
    this.#cursor = cursor;
    this.#ahead = new Set(ahead);
  }

  /** Whether the server has the event already; if so, it counts as acknowledged. */
  has(id: string, cursor: string): boolean {
    if (!this.#ahead.delete(id)) return false;
    this.add(id, cursor)();
    return true;
  }

  /** Adds an event; returns what is called when the server has it. */
  add(id: string, cursor: string): () => void {
    const one = { id, cursor, isStored: false };
    this.#sent.push(one);
    return () => {
      one.isStored = true;
      while (this.#sent[0]?.isStored) this.#cursor = this.#sent.shift()?.cursor ?? this.#cursor;
    };
  }

  /** Returns what the next run has to know. */
  get resume(): EventGap["resume"] {
    const stored = this.#sent.filter(({ isStored }) => isStored).map(({ id }) => id);
    if (stored.length + this.#ahead.size === 0) return null;
    return { cursor: this.#cursor, stored: new Set([...stored, ...this.#ahead]) };
  }
}
