// The rule by which users share a limited number of places.

export interface ShareLimits {
  /** How many places there are. */
  readonly all: number;
  /** How many of them one user may have. */
  readonly each: number;
  /** Of `each`: what is little; an eighth unless given. */
  readonly little?: number;
  /** Of `all`: the part for users who have none; a quarter unless given. */
  readonly lastPart?: number;
}

/**
 * Whether a user who holds `own` of the `taken` places may take another one. The first half of the places is for everybody up
 * to `each`, the last part for whoever has none, and what is between for whoever has little: a few users who take what
 * they can do not keep out others, and to keep out all takes as many users as the last part has places.
 */
export function mayTakeAnother(own: number, taken: number, limits: ShareLimits): boolean {
  const { all, each, little = 1 / 8, lastPart = 1 / 4 } = limits;
  if (taken >= all || own >= each) return false;
  if (own === 0 || taken < all / 2) return true;
  return taken < all * (1 - lastPart) && own < each * little;
}
