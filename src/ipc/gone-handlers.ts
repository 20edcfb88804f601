// Who wants to know that a peer has left. It is told once, however late it asks.

export class GoneHandlers {
  readonly #handlers = new Set<() => void>();
  #isGone = false;

  /** Calls `handler` when the peer leaves; if it has left already, once the caller has come to an end. Gives what ends this. */
  add(handler: () => void): () => void {
    this.#handlers.add(handler);
    if (this.#isGone) queueMicrotask(() => this.#tell(handler));
    return () => void this.#handlers.delete(handler);
  }

  /** The peer has left. */
  call(): void {
    this.#isGone = true;
    for (const handler of [...this.#handlers]) this.#tell(handler);
  }

  /** Nobody wants to know any more. */
  clear(): void {
    this.#handlers.clear();
  }

  #tell(handler: () => void): void {
    if (!this.#handlers.delete(handler)) return;
    try {
      handler();
    } catch (error) {
      reportError(error);
    }
  }
}
