// Shell patterns that match a whole string, as fnmatch(3) without flags: `*` and `?` match any character, `/` and a
// leading dot included. The time is bounded by the product of both lengths for every pattern.

/** One element of a pattern: "any" for `*`, or a test of one character. */
type Step = "any" | ((character: string) => boolean);

/**
 * Parses the bracket expression that begins at `start`. Returns its step and the index of its `]`; null where none
 * closes it.
 */
function bracket(characters: readonly string[], start: number): { step: Step; end: number } | null {
  let at = start + 1;
  const isNegated = characters[at] === "!" || characters[at] === "^";
  if (isNegated) at++;
  const ranges: [string, string][] = [];
  for (let isFirst = true; at < characters.length; isFirst = false) {
    const from = characters[at] as string;
    if (from === "]" && !isFirst) {
      return { step: (one) => ranges.some(([low, high]) => low <= one && one <= high) !== isNegated, end: at };
    }
    const to = characters[at + 2];
    const isRange = characters[at + 1] === "-" && to !== undefined && to !== "]";
    ranges.push([from, isRange ? (to as string) : from]);
    at += isRange ? 3 : 1;
  }
  return null;
}

function stepsOf(pattern: string): Step[] {
  const characters = [...pattern];
  const steps: Step[] = [];
  const literal = (wanted: string) => steps.push((one) => one === wanted);
  for (let at = 0; at < characters.length; at++) {
    const character = characters[at] as string;
    const group = character === "[" ? bracket(characters, at) : null;
    if (group !== null) {
      steps.push(group.step);
      at = group.end;
    } else if (character === "*") steps.push("any");
    else if (character === "?") steps.push(() => true);
    else if (character === "\\" && at + 1 < characters.length) literal(characters[++at] as string);
    else literal(character);
  }
  return steps;
}

/** Returns a function that tests whether a whole string matches the pattern. */
export function globMatcher(pattern: string): (text: string) => boolean {
  const steps = stepsOf(pattern);
  return (text) => {
    const characters = [...text];
    let [step, at] = [0, 0];
    /** Where matching resumes after a mismatch: after the last `*`, which then matches one more character. */
    let back: { step: number; at: number } | null = null;
    while (at < characters.length) {
      const wanted = steps[step];
      if (wanted === "any") {
        back = { step: ++step, at };
      } else if (wanted?.(characters[at] as string) === true) {
        step++;
        at++;
      } else if (back !== null) {
        back.at++;
        [step, at] = [back.step, back.at];
      } else return false;
    }
    while (steps[step] === "any") step++;
    return step === steps.length;
  };
}
