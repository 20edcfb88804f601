// Waiting for a condition instead of sleeping. The limits here are no expectations: they are far beyond what the slowest
// machine needs, and only keep a test that waits in vain from waiting for ever.

const POLL_MS = 20;

/** How long a test waits for a condition before it says what did not come; $TEST_WAIT_MS for whoever watches it fail. */
export const WAIT_MS = Number(process.env["TEST_WAIT_MS"] ?? 240_000);
/** How long a test may take in all. */
export const GUARD_MS = 600_000;

/** Tries `check` until it does not throw; returns its result. Throws its last error after `timeoutMs`. */
export async function waitFor<Value>(
  check: () => Value | Promise<Value>,
  what: string,
  timeoutMs = WAIT_MS,
): Promise<Value> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    try {
      return await check();
    } catch (error) {
      if (performance.now() > deadline) throw new Error(`Waited in vain for ${what}: ${(error as Error).message}`);
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
  }
}
