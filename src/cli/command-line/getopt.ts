// Rows that describe the options of the clients, and their parsing by base/getopt.ts, which follows getopt_long(3).
//
// citty prints usage texts from the same rows. Its parser is not used: it accepts unknown options, keeps only the last
// of repeated ones, and consumes options that belong to a command such as that of `shell`.
import * as getopt from "../../base/getopt.ts";
import { suggestOption } from "../../base/text/suggest.ts";
import { Failure } from "../session/failure.ts";

export type { Finish } from "../../base/getopt.ts";

/** What the value of an option names; the shell completions offer these names. */
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

/** One option, in the form of a citty argument definition. `apply` throws a Failure for a value it does not accept. */
export interface OptionRow<S, C> extends getopt.OptionRow<S, C> {
  readonly valueHint?: string;
  readonly description?: string;
  readonly hidden?: boolean;
  /** For completion: the accepted values, or what a value names. Absent for free text. */
  readonly values?: readonly string[] | OptionValueKind;
}

/**
 * Options by their long names. `S` is the settings object that `apply` changes; `C` is the context passed to `apply`.
 */
export type OptionTable<S, C> = Readonly<Record<string, OptionRow<S, C>>>;

interface ParseRules<S, C> extends Omit<getopt.ParseRules<S, C>, "fail"> {
  readonly program: string;
}

/** Returns the hint for an option that the table does not have; undefined where none of its names is similar. */
function didYouMean<S, C>(unknown: string, options: OptionTable<S, C>): string | undefined {
  const names = Object.keys(options).filter((name) => options[name]?.hidden !== true);
  const nearest = suggestOption(unknown, names);
  return nearest === undefined ? undefined : `Did you mean ${nearest}?`;
}

/**
 * Applies the options in `args` to `settings` and returns the words that are not options. Throws a Failure with the
 * text that getopt_long(3) prints for the same mistake.
 */
export function parseOptions<S, C>(
  args: readonly string[],
  settings: S,
  { program, ...rules }: ParseRules<S, C>,
): getopt.Parsed {
  const fail = (text: string, unknown?: string) => {
    const hint = unknown === undefined ? undefined : didYouMean(unknown, rules.options);
    return new Failure(`${program}: ${text}`, { hint });
  };
  return getopt.parseOptions(args, settings, { ...rules, fail });
}
