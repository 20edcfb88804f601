// What a check finds, and how a row of the table of checks is declared: which facts it needs, and what it makes of them. A check
// looks at facts only, so that tests can give it any; a fact that could not be learned makes its checks unknown, never wrong.

/** `unknown`: what the check needs could not be looked at. */
export type Level = "ok" | "warning" | "problem" | "unknown";

export interface Finding {
  readonly level: Level;
  /** The state, in one line. */
  readonly what: string;
  /** What follows from it. */
  readonly why?: string;
  /** A command for a shell of root that mends it. */
  readonly mend?: string;
}

/** Facts, each with its value or the reason why it is not known. */
export type Learned<Facts> = {
  readonly [Key in keyof Facts]: { readonly value: Facts[Key] } | { readonly reason: string };
};

export interface Check<Facts> {
  readonly id: string;
  readonly title: string;
  run(facts: Learned<Facts>): Finding;
}

/** A row as it is written: `check` gets the facts that it needs. */
interface CheckRow<Facts, Key extends keyof Facts> {
  readonly id: string;
  readonly title: string;
  readonly needs: readonly Key[];
  readonly check: (facts: Pick<Facts, Key>) => Finding;
}

/** A check of a row. `Facts` is given by hand, the needed ones follow from the row. */
export function checksOf<Facts>() {
  return <Key extends keyof Facts>({ id, title, needs, check }: CheckRow<Facts, Key>): Check<Facts> => ({
    id,
    title,
    run: (facts) => {
      const known: Partial<Pick<Facts, Key>> = {};
      for (const key of needs) {
        const fact = facts[key];
        if ("reason" in fact) return { level: "unknown", what: `could not be looked at: ${fact.reason}` };
        known[key] = fact.value;
      }
      return check(known as Pick<Facts, Key>); // each of the needed ones is there now
    },
  });
}

/** Everything is as it should be. */
export function ok(what: string): Finding {
  return { level: "ok", what };
}

/** A text as one word of a shell. */
export function quoted(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}
