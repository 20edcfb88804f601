// The types of checks and of their findings. A check is a function of facts that were gathered before, so that tests
// can pass any facts. If a fact could not be gathered, the checks that need it have the level `unknown`.

/** `unknown`: a fact that the check needs could not be gathered. */
export type Level = "ok" | "warning" | "problem" | "unknown";

/** The result of a check. */
export interface Finding {
  readonly level: Level;
  /** The state, in one line. */
  readonly what: string;
  /** The consequence, or the reason. */
  readonly why?: string;
  /** A shell command for root that repairs it. */
  readonly mend?: string;
}

/** The finding of a check, with the check's id and title. */
export interface Diagnosis extends Finding {
  readonly id: string;
  readonly title: string;
}

/** For each fact its value, or the reason why it could not be gathered. */
export type Learned<Facts> = {
  readonly [Key in keyof Facts]: { readonly value: Facts[Key] } | { readonly reason: string };
};

/** A check; `title` is printed, `id` is its name in JSON. */
export interface Check<Facts> {
  readonly id: string;
  readonly title: string;
  run(facts: Learned<Facts>): Finding;
}

/** The declaration of a check. `check` is called with the facts that `needs` names. */
interface CheckRow<Facts, Key extends keyof Facts> {
  readonly id: string;
  readonly title: string;
  readonly needs: readonly Key[];
  readonly check: (facts: Pick<Facts, Key>) => Finding;
}

/**
 * Returns a function that makes a Check from a row. Two functions, because TypeScript cannot infer `Key` from the row
 * if `Facts` is passed explicitly to the same function.
 */
export function checksOf<Facts>() {
  return <Key extends keyof Facts>({ id, title, needs, check }: CheckRow<Facts, Key>): Check<Facts> => ({
    id,
    title,
    run: (facts) => {
      const known: Partial<Pick<Facts, Key>> = {};
      for (const key of needs) {
        const fact = facts[key];
        if ("reason" in fact) return { level: "unknown", what: `could not be checked: ${fact.reason}` };
        known[key] = fact.value;
      }
      return check(known as Pick<Facts, Key>); // the loop has set each key
    },
  });
}

/** Returns a finding of level `ok`. */
export function ok(what: string): Finding {
  return { level: "ok", what };
}
