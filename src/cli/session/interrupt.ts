// Signals that a client handles itself: SIGINT and SIGTERM while it waits for a daemon's work, and resizes of the
// terminal.

/**
 * The promise resolves at the first SIGINT or SIGTERM, with `orReader` also when nobody reads standard output any more.
 * Until `stop` is called, these signals do not end the process.
 */
export function waitForInterrupt(orReader?: "or-reader-left"): { promise: Promise<void>; stop(): void } {
  const { promise, resolve } = Promise.withResolvers<void>();
  const signals = ["SIGINT", "SIGTERM"] as const;
  const handler = () => resolve();
  for (const signal of signals) process.on(signal, handler);
  const stopWatching = orReader === undefined ? () => {} : whenReaderLeaves(handler);
  return {
    promise,
    stop: () => {
      for (const signal of signals) process.off(signal, handler);
      stopWatching();
    },
  };
}

/**
 * Calls `left` when the other end of standard output is closed, so that `events | head -1` ends without waiting for the
 * next line. Returns a function that ends the watch.
 */
function whenReaderLeaves(left: () => void): () => void {
  let isStopped = false;
  let watched: { stop(): void } | null = null;
  const start = async () => {
    const { watch } = await import("../../kernel/event/poller.ts");
    if (isStopped) return;
    // The kernel reports this for any interest.
    watched = watch(1, {}, ({ hangup, error }) => {
      if (hangup || error) left();
    });
  };
  // It fails for a regular file, which nobody has to read, and where standard output is closed.
  start().catch(() => {});
  return () => {
    isStopped = true;
    watched?.stop();
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
