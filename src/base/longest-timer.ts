// The longest time for which setTimeout() can wait.

/** The largest delay of setTimeout(), 24 days: with a larger one it calls at once. */
export const LONGEST_TIMER_MS = 0x7fff_ffff;
