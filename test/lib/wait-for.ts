// Waiting for a condition instead of sleeping.

const POLL_MS = 20;

/** Tries `check` until it does not throw; gives what it gives. Throws its last error after `timeoutMs`. */
export async function waitFor<Value>(
  check: () => Value | Promise<Value>,
  what: string,
  timeoutMs = 10_000,
): Promise<Value> {
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    try {
      return await check();
    } catch (error) {
      if (Date.now() > deadline) throw new Error(`Waited in vain for ${what}: ${(error as Error).message}`);
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
  }
}
