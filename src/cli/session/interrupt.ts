// Signals that a client handles while it waits for work that continues without it.

/** Waits for the first Ctrl-C or SIGTERM, which then does not end the process. */
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

/** Calls the listener whenever the terminal of stderr has got another size, which `columns` then has; returns what ends that. */
export function listenForResize(listener: () => void): () => void {
  // Not SIGWINCH: the stream asks for the size when it gets that signal, perhaps after the listener.
  process.stderr.on("resize", listener);
  return () => void process.stderr.off("resize", listener);
}
