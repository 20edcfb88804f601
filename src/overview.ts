// The texts of `machined` itself: its help, and the error for an unknown program.

import { suggest } from "./base/text/suggest.ts";
import { COMPATIBLE_WITH, PROGRAM_VERSION } from "./base/vocabulary/version.ts";
import { PROGRAMS } from "./programs.ts";

const USAGE = "usage: machined PROGRAM [ARGUMENT…]";
const SECTIONS = { verb: "This host", client: "Clients", daemon: "Services" } as const;
const NAME_COLUMNS = 17;

function section(kind: keyof typeof SECTIONS): string {
  const rows = Object.entries(PROGRAMS).filter(([, row]) => row.kind === kind);
  const lines = rows.map(([name, { summary }]) => `  ${name.padEnd(NAME_COLUMNS)} ${summary}\n`);
  return `\n${SECTIONS[kind]}:\n${lines.join("")}`;
}

/** Returns the help text. It fits 50 columns. */
export function overview(): string {
  return `${PROGRAM_VERSION}
The registry of a host's virtual machines and
containers, with the interfaces of systemd ${COMPATIBLE_WITH}.

${USAGE}
${section("verb")}${section("client")}${section("daemon")}
'machined PROGRAM --help' says more; so does the
machined(1) man page. A link to this file that
bears a program's name runs that program. Options
alone, as in 'machined --user', go to
systemd-machined.
`;
}

/** Returns the error text for a word that is no program, with the name that was probably meant. */
export function unknownProgram(word: string): string {
  const names = Object.keys(PROGRAMS).filter((name) => PROGRAMS[name]?.kind !== "internal");
  const nearest = suggest(word, names, Math.ceil(word.length / 3));
  const meant = nearest === undefined ? "" : `, did you mean '${nearest}'?`;
  return `machined: There is no program '${word}'${meant || "."}\n${USAGE}\nPrograms: ${names.join(", ")}\n`;
}
