// The rule by which users share a limited number of places.

export interface ShareLimits {
  /** How many places there are. */
  readonly all: number;
  /** How many of them one user may have. */
  readonly each: number;
}

/** Of `each`: what a user may have once half of all places are taken. */
const SMALL_PART = 1 / 8;

/**
 * Whether a user who holds `own` of the `taken` places may take another one. The first half of the places is for everybody up
 * to `each`, the next quarter for whoever has less than an eighth of that, the last for whoever has none: a few users who
 * take what they can do not keep out others, and to keep out all takes as many users as a quarter of the places.
 */
export function mayTakeAnother(own: number, taken: number, { all, each }: ShareLimits): boolean {
  if (taken >= all || own >= each) return false;
  if (own === 0 || taken < all / 2) return true;
  return taken < (all * 3) / 4 && own < each * SMALL_PART;
}
