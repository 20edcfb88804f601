// Shell patterns that match a whole string, as fnmatch(3) without flags: `*` and `?` match any character, `/` and a
// leading dot included; in brackets there may be ranges, classes such as `[:digit:]`, and escaped characters. The time
// is bounded by the product of both lengths for every pattern.

/** One element of a pattern: "any" for `*`, or a test of one character. */
type Step = "any" | ((character: string) => boolean);

/** The classes of characters in bracket expressions, such as `[[:digit:]]`. */
const CLASSES: Readonly<Record<string, RegExp>> = {
  alnum: /[\p{Alphabetic}0-9]/u,
  alpha: /\p{Alphabetic}/u,
  blank: /[ \t]/,
  cntrl: /\p{Cc}/u,
  digit: /[0-9]/,
  graph: /[^\p{Cc}\s]/u,
  lower: /\p{Lowercase}/u,
  print: /[^\p{Cc}]/u,
  punct: /[\p{P}\p{S}]/u,
  space: /\s/,
  upper: /\p{Uppercase}/u,
  xdigit: /[0-9A-Fa-f]/,
};

/** Returns the class that is named at `start` (`[:name:]`) and the index after it; null where none is. */
function classAt(characters: readonly string[], start: number): { test: RegExp; end: number } | null {
  if (characters[start] !== "[" || characters[start + 1] !== ":") return null;
  const colon = characters.indexOf(":", start + 2);
  const name = characters.slice(start + 2, colon).join("");
  const test = colon >= 0 && characters[colon + 1] === "]" && Object.hasOwn(CLASSES, name) ? CLASSES[name] : undefined;
  return test === undefined ? null : { test, end: colon + 2 };
}

/** Returns the character at `start`, which a backslash may escape, and the index after it. */
function characterAt(characters: readonly string[], start: number): { one: string; end: number } {
  const at = characters[start] === "\\" && start + 1 < characters.length ? start + 1 : start;
  return { one: characters[at] as string, end: at + 1 };
}

/**
 * Parses the bracket expression that begins at `start`. Returns its step and the index of its `]`; null where none
 * closes it.
 */
function bracket(characters: readonly string[], start: number): { step: Step; end: number } | null {
  let at = start + 1;
  const isNegated = characters[at] === "!" || characters[at] === "^";
  if (isNegated) at++;
  const tests: ((one: string) => boolean)[] = [];
  for (let isFirst = true; at < characters.length; isFirst = false) {
    if (characters[at] === "]" && !isFirst) {
      return { step: (one) => tests.some((test) => test(one)) !== isNegated, end: at };
    }
    const named = classAt(characters, at);
    if (named !== null) {
      tests.push((one) => named.test.test(one));
      at = named.end;
      continue;
    }
    const low = characterAt(characters, at);
    const isRange = characters[low.end] === "-" && ![undefined, "]"].includes(characters[low.end + 1]);
    const high = isRange ? characterAt(characters, low.end + 1) : low;
    tests.push((one) => low.one <= one && one <= high.one);
    at = high.end;
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
