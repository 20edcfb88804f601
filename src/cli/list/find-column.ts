// Finds the column that a word of an option names.
import { suggest } from "../../base/text/suggest.ts";
import type { ColumnRow } from "../command-line/verb-row.ts";
import { Failure } from "../session/failure.ts";

/**
 * Returns the column with that key or alias. `option` is printed in the Failure that is thrown for an unknown name; it
 * lists all columns.
 */
export function findColumn<C extends ColumnRow>(columns: readonly C[], name: string, option: string): C {
  const found = columns.find(({ key, aliases }) => key === name || aliases?.includes(name) === true);
  if (found !== undefined) return found;
  const keys = columns.map(({ key }) => key);
  const nearest = suggest(name, [...keys, ...columns.flatMap(({ aliases }) => aliases ?? [])]);
  const hint = nearest === undefined || name === "" ? "" : `, did you mean '${nearest}'?`;
  throw new Failure(`Unknown column '${name}' of ${option}${hint}\nThe columns are: ${keys.join(", ")}`);
}
