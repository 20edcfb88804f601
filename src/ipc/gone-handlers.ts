// Handlers of a peer's disconnection. Each is called once, also when it is registered after the disconnection.

export class GoneHandlers {
  readonly #handlers = new Set<() => void>();
  #isGone = false;

  /**
   * Calls `handler` when the peer disconnects; in a microtask where it has disconnected already. Returns a function
   * that cancels this.
   */
  add(handler: () => void): () => void {
    this.#handlers.add(handler);
    if (this.#isGone) queueMicrotask(() => this.#tell(handler));
    return () => void this.#handlers.delete(handler);
  }

  /** Calls the handlers: the peer has disconnected. */
  call(): void {
    this.#isGone = true;
    for (const handler of [...this.#handlers]) this.#tell(handler);
  }

  /** Drops all handlers. */
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
