// The text of `--help`, from the table of options.
import { OPTIONS, type ProgramName } from "./options.ts";

/** The lines of `--help` for the options of a program. */
export function optionHelp(program: ProgramName): string {
  const rows = Object.entries(OPTIONS).filter(([, row]) => row.programs.includes(program));
  const lines = rows.map(([name, row]) => {
    return `     ${`--${name}${row.value === undefined ? "" : `=${row.value}`}`.padEnd(26)} ${row.help}`;
  });
  return [
    "  -h --help                     Show this help",
    "     --version                  Show package version",
    ...lines,
  ].join("\n");
}
