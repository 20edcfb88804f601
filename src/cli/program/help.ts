// `--help`: verbs and options from their tables. The usage of a single verb is citty's work.

import { displayWidth } from "../../base/format.ts";
import type { ClientProgram } from "../command-line/verb-row.ts";
import { findVerb, type VerbRow, wordsUsage } from "../command-line/verb-row.ts";
import { own } from "../format/own-sequence.ts";
import type { Session } from "../session/session.ts";

const INDENT = 2;
const LEFT_WIDTH = 26;
const WIDTH = 80;

/** Words broken into lines of at most `width` columns. */
function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  for (const word of text.split(" ")) {
    const last = lines.at(-1);
    const longer = last === undefined ? word : `${last} ${word}`;
    if (last !== undefined && displayWidth(longer) <= width) lines[lines.length - 1] = longer;
    else lines.push(word);
  }
  return lines;
}

/** A term and what it means, in two columns; a term too long for its column has a line of its own. */
function entry(term: string, meaning: string, width: number): string {
  const left = " ".repeat(INDENT) + term;
  const column = INDENT + LEFT_WIDTH + 1;
  const lines = wrap(meaning, Math.max(width - column, LEFT_WIDTH)).map((line) => " ".repeat(column) + line);
  if (displayWidth(term) > LEFT_WIDTH) return [left, ...lines, ""].join("\n");
  const first = left + (lines[0] ?? "").slice(displayWidth(left));
  return [first, ...lines.slice(1), ""].join("\n");
}

function verbTerm(verb: VerbRow, ellipsis: string): string {
  const { name } = verb.meta;
  const shown = verb.isDefault === true ? `[${name}]` : name;
  const words = wordsUsage(verb, ellipsis);
  return words === "" ? shown : `${shown} ${words}`;
}

function optionTerm(key: string, row: ClientProgram["options"][string]): string {
  const value = row.valueHint ?? "";
  if (key.length === 1) return value === "" ? `-${key}` : `-${key} ${value}`;
  const short = row.alias === undefined ? "   " : `-${row.alias} `;
  return `${short}--${key}${value === "" ? "" : `=${value}`}`;
}

function manPageReference(session: Session, name: string): string {
  const text = `${name}(1) man page`;
  return session.terminal.links ? own(`\u001b]8;;man:${name}(1)\u001b\\${text}\u001b]8;;\u001b\\`) : text;
}

/** The whole help text for a terminal. */
function helpText(session: Session, { name, abstract, groups, verbs, options }: ClientProgram): string {
  const { terminal } = session;
  const { paint, glyphs } = terminal;
  const width = terminal.stdoutIsTty ? Math.max(terminal.columns, INDENT + 2 * LEFT_WIDTH) : WIDTH;
  const heading = (title: string) =>
    `\n${paint.normal}${paint.underline}${title}:${paint.underline === "" ? "" : paint.normal}\n`;
  const usage = `> ${name} [OPTION${glyphs.ellipsis}] COMMAND ${glyphs.ellipsis}\n\n`;
  const sentence = wrap(abstract, width).map((line) => `${paint.bright}${line}${paint.normal}\n`);
  const sections = groups.map((group) => {
    const shown = verbs.filter((verb) => verb.group === group && verb.meta.hidden !== true);
    const lines = shown.map((verb) => entry(verbTerm(verb, glyphs.ellipsis), verb.meta.description, width));
    return lines.length === 0 ? "" : heading(`${group} Commands`) + lines.join("");
  });
  const rows = Object.entries(options).filter(([, row]) => row.hidden !== true);
  const lines = rows.map(([key, row]) => entry(optionTerm(key, row), row.description ?? "", width));
  const footer = `\nSee the ${manPageReference(session, name)} for details.\n`;
  return usage + sentence.join("") + sections.join("") + heading("Options") + lines.join("") + footer;
}

/** The columns of the list that a verb prints; nothing for a verb that prints none. */
async function columnsUsage({ terminal }: Session, { columns }: VerbRow): Promise<string> {
  if (columns === undefined) return "";
  const { paint } = terminal;
  const rows = (await columns()).map((column) => {
    const names = [column.key, ...(column.aliases ?? [])].join(", ");
    return entry(column.isUsual === true ? names : `${names} *`, column.description, WIDTH);
  });
  const heading = `${paint.underline}${paint.bright}COLUMNS${paint.normal} (* not shown unless asked for)`;
  return `\n${heading}\n\n${rows.join("")}`;
}

/** The usage of one verb, as citty prints it. */
async function verbUsage(session: Session, program: ClientProgram, verb: VerbRow): Promise<string> {
  const { defineCommand, renderUsage } = await import("citty");
  const { name, description, alias } = verb.meta;
  const meta = { name, description, ...(alias === undefined ? {} : { alias: [...alias] }) };
  const options = Object.entries(program.options).filter(([key]) => verb.options?.includes(key) === true);
  const command = defineCommand({ meta, args: { ...verb.args, ...Object.fromEntries(options) } });
  const text = await renderUsage(command, { meta: { name: program.name } });
  const plain = session.terminal.colors === "off" ? Bun.stripANSI(text) : text;
  return `${plain.replace(/ +$/gm, "").trimEnd()}\n${await columnsUsage(session, verb)}`;
}

/** The option `--help` and the verb `help`; with the name of a verb, the usage of that. */
export async function help(session: Session, words: readonly string[], program: ClientProgram): Promise<number> {
  const verb = words[0] === undefined ? undefined : findVerb(program.verbs, words[0]);
  await session.openPager();
  session.output.write(verb === undefined ? helpText(session, program) : await verbUsage(session, program, verb));
  return 0;
}
