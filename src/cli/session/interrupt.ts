// Signals that a client handles itself: SIGINT and SIGTERM while it waits for a daemon's work, and resizes of the
// terminal.

/**
 * The promise resolves at the first SIGINT or SIGTERM. Until `stop` is called, these signals do not end the process.
 */
export function waitForInterrupt(): { promise: Promise<void>; stop(): void } {
  const { promise, resolve } = Promise.withResolvers<void>();
  const signals = ["SIGINT", "SIGTERM"] as const;
  const handler = () => resolve();
  for (const signal of signals) process.on(signal, handler);
  return {
    promise,
    stop: () => {
      for (const signal of signals) process.off(signal, handler);
    },
  };
}

/**
 * Calls the listener whenever the terminal of stderr has been resized; `process.stderr.columns` is then the new width.
 * Returns a function that removes the listener.
 */
export function listenForResize(listener: () => void): () => void {
  // Not SIGWINCH: the stream updates its size in its own handler of that signal, which may run after the listener.
  process.stderr.on("resize", listener);
  return () => void process.stderr.off("resize", listener);
}
