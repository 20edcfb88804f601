// The options of `--help`, from their table.
import { OPTIONS, type ProgramName } from "./options.ts";

/** Returns the options of a program with their meanings. */
export function optionEntries(program: ProgramName): (readonly [term: string, meaning: string])[] {
  const rows = Object.entries(OPTIONS).filter(([, row]) => row.programs.includes(program));
  const own = rows.map(([name, { value, help }]) => {
    return [`   --${name}${value === undefined ? "" : `=${value}`}`, help] as const;
  });
  return [["-h --help", "Show this help"], ["   --version", "Show package version"], ...own];
}
