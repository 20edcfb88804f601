// "did you mean": finds the known word nearest to a mistyped one.

/** The default of `mostEdits`; words that differ more are not suggested. */
const MOST_EDITS = 5;

/** The same for the first part of a word (`list` of `list-images`), where only that part was typed. */
const MOST_EDITS_OF_PART = 2;

/** Returns the number of edits (change, insert, delete, swap of neighbours) that turn one word into the other. */
export function editDistance(a: string, b: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 0; i < a.length; i++) {
    const row = [i + 1];
    for (let j = 0; j < b.length; j++) {
      let best = (last[j] ?? 0) + (a[i] === b[j] ? 0 : 1);
      const swapped = i > 0 && j > 0 && a[i - 1] === b[j] && a[i] === b[j - 1];
      if (swapped) best = Math.min(best, (beforeLast[j - 1] ?? 0) + 1);
      row.push(Math.min(best, (last[j + 1] ?? 0) + 1, (row[j] ?? 0) + 1));
    }
    beforeLast = last;
    last = row;
  }
  return last[b.length] ?? 0;
}

/** Returns the first word with the smallest rank, ignoring words with a rank of null. */
function nearest(words: readonly string[], rank: (word: string) => number | null): string | undefined {
  let best: { word: string; rank: number } | undefined;
  for (const word of words) {
    const value = rank(word);
    if (value !== null && (best === undefined || value < best.rank)) best = { word, rank: value };
  }
  return best?.word;
}

/** Returns the distance to the word or, if that is smaller, to its first part: `lst` is near to `list-images`. */
function distanceTo(word: string, typed: string): number {
  const part = word.split("-", 1)[0] ?? word;
  const whole = editDistance(word, typed);
  if (part === word || typed.includes("-")) return whole;
  const ofPart = editDistance(part, typed);
  return ofPart <= Math.min(MOST_EDITS_OF_PART, typed.length - 2) ? Math.min(ofPart, whole) : whole;
}

/**
 * Returns the shortest word that begins with `typed`, else the nearest one within `mostEdits` edits, else undefined.
 */
export function suggest(typed: string, words: readonly string[], mostEdits = MOST_EDITS): string | undefined {
  const begun = nearest(words, (word) => (word.startsWith(typed) ? word.length : null));
  return (
    begun ??
    nearest(words, (word) => {
      const distance = distanceTo(word, typed);
      return distance > mostEdits ? null : distance;
    })
  );
}

/** An option that differs more from what was typed is likely not meant. */
const MOST_EDITS_OF_OPTION = 2;

/** Returns the long option nearest to the name of one that does not exist; undefined where none is similar. */
export function suggestOption(unknown: string, names: readonly string[]): string | undefined {
  const long = names.filter((name) => name.length > 1);
  const nearest = suggest(unknown, long, Math.min(MOST_EDITS_OF_OPTION, unknown.length - 1));
  return nearest === undefined ? undefined : `--${nearest}`;
}
