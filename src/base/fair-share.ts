// The rule by which users share a limited number of places.

export interface ShareLimits {
  /** How many places there are. */
  readonly all: number;
  /** How many of them one user may have. */
  readonly each: number;
  /** The part of `each` that counts as little; an eighth unless given. */
  readonly little?: number;
  /** The part of `all` that is kept for users who hold none; a quarter unless given. */
  readonly lastPart?: number;
}

/**
 * Returns whether a user who holds `own` of the `taken` places may take another one. While less than half of all places
 * are taken, everybody may take up to `each`; then only users who hold little; in the last part only users who hold
 * none. So a few greedy users cannot keep others out: exhausting all places needs as many users as the last part has
 * places.
 */
export function mayTakeAnother(own: number, taken: number, limits: ShareLimits): boolean {
  const { all, each, little = 1 / 8, lastPart = 1 / 4 } = limits;
  if (taken >= all || own >= each) return false;
  if (own === 0 || taken < all / 2) return true;
  return taken < all * (1 - lastPart) && own < each * little;
}
