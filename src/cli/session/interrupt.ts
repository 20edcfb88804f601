// Handles Ctrl-C while a client waits for work that continues without it.

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
