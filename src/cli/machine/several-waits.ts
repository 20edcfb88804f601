// `wait` for several machines: which of the waits decides.

/** The exit status of a wait that has taken the time of --timeout=. */
export const TIMED_OUT = 124;

/** The end of a wait whose condition was not met. */
class Unmet extends Error {
  readonly status: number;

  constructor(status: number) {
    super("The condition was not met");
    this.status = status;
  }
}

/**
 * Returns 0 as soon as one of the waits, which return exit statuses, returns 0. If none can do that any more, throws
 * the first error, or returns TIMED_OUT if one of them did, else the first status.
 */
export async function anyMet(waits: readonly Promise<number>[]): Promise<number> {
  const met = waits.map(async (wait) => {
    const status = await wait;
    if (status !== 0) throw new Unmet(status);
    return status;
  });
  try {
    return await Promise.any(met);
  } catch (error) {
    const { errors } = error as AggregateError; // Promise.any() throws nothing else
    const failure = errors.find((one) => !(one instanceof Unmet));
    if (failure !== undefined) throw failure;
    const statuses = (errors as Unmet[]).map(({ status }) => status);
    return statuses.includes(TIMED_OUT) ? TIMED_OUT : (statuses[0] ?? 0);
  }
}

/** Returns 0 when all waits, which return exit statuses, have returned 0; another status as soon as one returns it. */
export async function allMet(waits: readonly Promise<number>[]): Promise<number> {
  const unmet = Promise.withResolvers<number>();
  const met = waits.map(async (wait) => {
    const status = await wait;
    if (status !== 0) unmet.resolve(status);
  });
  return Promise.race([unmet.promise, Promise.all(met).then(() => 0)]);
}
