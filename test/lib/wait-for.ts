// Waits for conditions. The time limits here are no requirements on speed: they are far above what the slowest machine
// needs, and only end tests whose condition never holds.

const POLL_MS = 20;

/** The default time limit for a condition; $TEST_WAIT_MS sets a shorter one, to see a test fail. */
export const WAIT_MS = Number(process.env["TEST_WAIT_MS"] ?? 240_000);
/** The time limit of a whole test. */
export const GUARD_MS = 300_000;

/**
 * Calls `check` until it does not throw; returns its result. After `timeoutMs`, throws an error with `what` and the
 * last error.
 */
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
