// `--help` and the verb `help`: pages that are made from the tables of verbs and options.

import type { ClientProgram } from "../command-line/verb-row.ts";
import { findVerb, type VerbRow, wordsUsage } from "../command-line/verb-row.ts";
import type { Session } from "../session/session.ts";
import { HelpPage, optionTerm } from "./help-page.ts";

function verbTerm(verb: VerbRow, ellipsis: string): string {
  const { name } = verb.meta;
  const shown = verb.isDefault === true ? `[${name}]` : name;
  const words = wordsUsage(verb, ellipsis);
  return words === "" ? shown : `${shown} ${words}`;
}

/** Returns the page with all verbs and options. */
async function overview(session: Session, { name, abstract, groups, verbs, options }: ClientProgram): Promise<string> {
  const page = new HelpPage(session);
  const { ellipsis } = session.terminal.glyphs;
  const sections = groups.map((group) => {
    const shown = verbs.filter((verb) => verb.group === group && verb.meta.hidden !== true);
    return page.section(
      `${group} Commands`,
      shown.map((verb) => [verbTerm(verb, ellipsis), verb.meta.description]),
    );
  });
  const rows = Object.entries(await options()).filter(([, row]) => row.hidden !== true);
  const shownOptions = page.section(
    "Options",
    rows.map(([key, row]) => [optionTerm(key, row), row.description ?? ""]),
  );
  const top = page.top(`${name} [OPTION${ellipsis}] COMMAND ${ellipsis}`, abstract);
  return top + sections.join("") + shownOptions + page.manual(name);
}

/**
 * Runs the option `--help` or the verb `help`. `words` are the words of the command line: `VERB` or `help VERB` prints
 * the page of that verb, anything else the overview.
 */
export async function help(session: Session, words: readonly string[], program: ClientProgram): Promise<number> {
  const name = words[0] === "help" ? words[1] : words[0];
  const verb = name === undefined ? undefined : findVerb(program.verbs, name);
  const text =
    verb === undefined
      ? await overview(session, program)
      : await (await import("./verb-help.ts")).verbHelp(session, program, verb);
  await session.openPager();
  session.output.write(text);
  return 0;
}
