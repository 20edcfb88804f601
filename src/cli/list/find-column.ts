// Finds the column that a word of an option names.
import { suggest } from "../../base/text/suggest.ts";
import { Failure } from "../session/failure.ts";
import type { Column } from "./column.ts";

/**
 * Returns the column with that key or alias. `option` is printed in the Failure that is thrown for an unknown name; it
 * lists all columns.
 */
export function findColumn<Row, Need extends string>(
  columns: readonly Column<Row, Need>[],
  name: string,
  option: string,
): Column<Row, Need> {
  const found = columns.find(({ key, aliases }) => key === name || aliases?.includes(name) === true);
  if (found !== undefined) return found;
  const keys = columns.map(({ key }) => key);
  const nearest = suggest(name, [...keys, ...columns.flatMap(({ aliases }) => aliases ?? [])]);
  const hint = nearest === undefined || name === "" ? "" : `, did you mean '${nearest}'?`;
  throw new Failure(`Unknown column '${name}' of ${option}${hint}\nThe columns are: ${keys.join(", ")}`);
}
