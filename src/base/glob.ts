// Shell patterns over whole texts, as fnmatch(3) without flags has them: `*` and `?` match any character, `/` and a leading
// dot included. Time is bounded by the product of both lengths, whatever the pattern.

/** One position of a pattern: anything of any length, or a test for one character. */
type Step = "any" | ((character: string) => boolean);

/** The step of a bracket expression that begins at `start`, and where it ends; null where no bracket closes it. */
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

/** A test for whole texts that match the pattern. */
export function globMatcher(pattern: string): (text: string) => boolean {
  const steps = stepsOf(pattern);
  return (text) => {
    const characters = [...text];
    let [step, at] = [0, 0];
    /** Where to go on when what follows the last `*` does not fit. */
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
