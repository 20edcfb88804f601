// The options of the clients as rows, for the strict parser in base/getopt.ts.
//
// citty reads the same tables for usage texts, but its parser is no getopt: it accepts unknown options, keeps only the
// last of repeated ones and eats the options of a command that is to be passed through.
import * as getopt from "../../base/getopt.ts";
import { Failure } from "../session/failure.ts";

export type { Finish } from "../../base/getopt.ts";

/** What the value of an option names. Shells complete it by this. */
export type OptionValueKind =
  | "host"
  | "machine"
  | "signal"
  | "user"
  | "variable"
  /** Columns of the verb's list: `KEY,KEY`. */
  | "column"
  /** `-KEY,KEY`. */
  | "column-sort"
  /** `KEY=GLOB`. */
  | "column-filter";

/** One option, in the form of a citty argument definition. `apply` may throw a Failure. */
export interface OptionRow<S, C> extends getopt.OptionRow<S, C> {
  readonly valueHint?: string;
  readonly description?: string;
  readonly hidden?: boolean;
  /** The values that it takes, or what they name: for completion. Nothing where a shell cannot know. */
  readonly values?: readonly string[] | OptionValueKind;
}

/** Options by their long names. `S` are the settings they change, `C` is what they need from outside for that. */
export type OptionTable<S, C> = Readonly<Record<string, OptionRow<S, C>>>;

interface ParseRules<S, C> extends Omit<getopt.ParseRules<S, C>, "fail"> {
  readonly program: string;
}

/** Reads arguments into `settings` and returns the words. Throws a Failure with the text getopt would print. */
export function parseOptions<S, C>(
  args: readonly string[],
  settings: S,
  { program, ...rules }: ParseRules<S, C>,
): getopt.Parsed {
  return getopt.parseOptions(args, settings, { ...rules, fail: (text) => new Failure(`${program}: ${text}`) });
}
