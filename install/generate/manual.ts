// Generates the manual pages: a frame with hand-written sections and a hand-written text for each verb are combined
// with synopses and options from the tables. The format is that of man(7).
import { version } from "../../package.json";
import type { Access } from "../../src/api/access.ts";
import type { VarlinkFields, VarlinkInterface, VarlinkMethod } from "../../src/api/varlink-table.ts";
import { IMAGE_SEARCH_PATHS } from "../../src/base/vocabulary/image-class.ts";
import { DAEMON_OPTIONS } from "../../src/daemon/arguments.ts";
import { PROGRAMS } from "../../src/programs.ts";
import type { OptionModel, ProgramModel, VerbModel } from "./model.ts";
import { NOTICE } from "./model.ts";

/**
 * Escapes plain text for roff. Hyphens become `\-`, which is printed as the ASCII character, so that options can be
 * copied.
 */
function roff(text: string): string {
  return text
    .replace(/\\/g, "\\e")
    .replace(/-/g, "\\-")
    .replace(/…/g, "\\&...")
    .replace(/^([.'])/gm, "\\&$1");
}

/**
 * Parses a `.verbs` file, in which each verb has a line `## NAME` and then lines of roff. They continue the verb's
 * description, which is printed before them; a verb that needs no more has none.
 */
function parseTexts(file: string): Map<string, string> {
  const texts = new Map<string, string>();
  for (const part of file.split(/^## /m).slice(1)) {
    const end = part.indexOf("\n");
    texts.set(part.slice(0, end), part.slice(end + 1).trimEnd());
  }
  return texts;
}

function optionEntry({ names, takesValue, isValueOptional, hint, description }: OptionModel): string {
  const spelled = names.map((name) => {
    if (isValueOptional === true) return `\\fB${roff(name)}\\fR[\\fB=\\fI${roff(hint)}\\fR]`;
    if (!takesValue) return `\\fB${roff(name)}\\fR`;
    return name.startsWith("--")
      ? `\\fB${roff(name)}=\\fI${roff(hint)}\\fR`
      : `\\fB${roff(name)}\\fR \\fI${roff(hint)}\\fR`;
  });
  return `.TP\n${spelled.join(", ")}\n${roff(description)}.`;
}

function verbEntry(verb: VerbModel, texts: Map<string, string>): string {
  const [name = ""] = verb.names;
  const text = texts.get(name);
  if (text === undefined)
    throw new Error(`The manual has no text for the command '${name}': add a section '## ${name}'`);
  const names = verb.names.map((one) => `\\fB${roff(one)}\\fR`).join(", ");
  const words = verb.usage === "" ? "" : ` \\fI${roff(verb.usage)}\\fR`;
  const options =
    verb.options.length === 0 ? "" : `\nOptions: ${verb.options.map((one) => `\\fB${roff(one)}\\fR`).join(", ")}.`;
  const more = text === "" ? "" : `\n${text.replace(/(?<!\\)-/g, "\\-")}`;
  const columns =
    verb.columns.length === 0
      ? ""
      : `\nColumns: ${verb.columns.map(({ key, isUsual }) => (isUsual ? `\\fB${roff(key)}\\fR` : roff(key))).join(", ")}.`;
  return `.TP\n${names}${words}\n${roff(verb.description)}.${more}${options}${columns}`;
}

/** The date of the last revision of the hand-written parts. */
const REVISED = "2026-12-01";

const FILL_COLUMNS = 80;

/**
 * Breaks long lines of text at blanks. Requests are not broken, and no new line begins with a character of requests.
 */
function fill(page: string): string {
  const lines = page.split("\n").flatMap((line) => {
    if (line.length < FILL_COLUMNS || line.startsWith(".")) return [line];
    const filled: string[] = [];
    for (const word of line.split(" ")) {
      const last = filled.at(-1);
      const fits = last !== undefined && (last.length + 1 + word.length < FILL_COLUMNS || /^[.']/.test(word));
      if (fits) filled[filled.length - 1] = `${last} ${word}`;
      else filled.push(word);
    }
    return filled;
  });
  return lines.join("\n");
}

/** The header fields of a page, and its text without marks. */
interface Page {
  readonly name: string;
  readonly section: number;
  /** One phrase without a full stop. */
  readonly abstract: string;
  readonly body: string;
}

function page({ name, section, abstract, body }: Page): string {
  return fill(`.\\" ${NOTICE}
.TH ${name.toUpperCase()} ${section} ${REVISED} "machined ${version}"
.SH NAME
${roff(name)} \\- ${roff(abstract)}
${body.trimEnd().replace("@IMAGE_DIRECTORIES@", IMAGE_DIRECTORIES)}
`);
}

const IMAGE_DIRECTORIES = `.IR ${IMAGE_SEARCH_PATHS.machine.join(' ", " ')}`;

/** Returns machined(1), which lists the programs that users and service managers call. */
export function machinedPage(frame: string): string {
  const rows = Object.entries(PROGRAMS).filter(([, { kind }]) => kind !== "internal");
  const entries = rows.map(([name, { summary }]) => `.TP\n\\fB${roff(name)}\\fR\n${roff(summary)}.`).join("\n");
  const synopsis = '.SH SYNOPSIS\n.B machined\n.RI [ PROGRAM " [" ARGUMENT ...]]';
  const body = `${synopsis}\n${frame.replace("@PROGRAMS@", entries)}`;
  return page({ name: "machined", section: 1, abstract: "registry of virtual machines and containers", body });
}

/** Returns a page with hand-written text, in which `@OPTIONS@` is replaced by the options of the daemons. */
export function handWrittenPage(name: string, section: number, abstract: string, frame: string): string {
  const options = Object.entries(DAEMON_OPTIONS).map(([key, { alias, valueHint = "", description }]) =>
    optionEntry({
      names: [...(alias === undefined ? [] : [`-${alias}`]), `--${key}`],
      takesValue: valueHint !== "",
      hint: valueHint,
      values: null,
      description,
    }),
  );
  return page({ name, section, abstract, body: frame.replace("@OPTIONS@", options.join("\n")) });
}

function fieldEntries(table: VarlinkInterface, owner: string, fields: VarlinkFields): string {
  const { notes } = table;
  const lines = Object.entries(fields).map(([field, type]) => {
    const note = notes.fields[`${owner}.${field}`] ?? notes.fields[field] ?? "";
    return `.TP\n\\fB${roff(field)}\\fR: ${roff(type)}\n${roff(note)}`;
  });
  return lines.join("\n");
}

function permissionText(access: Access): string {
  if (access === "everyone") return "Everyone may call it.";
  if (access === "privileged") return "Root and the user that the daemon runs as may call it.";
  const rules = "variants" in access ? Object.values(access.variants) : [access];
  const actions = [...new Set(rules.map(({ action }) => action))];
  return `It needs the permission ${actions.map((action) => `\\fB${roff(action)}\\fR`).join(" or ")}.`;
}

function methodEntry(table: VarlinkInterface, name: string, method: VarlinkMethod): string {
  const parts = [`.SS ${name}`, `${roff(method.doc)}\n${permissionText(method.access)}`];
  if (method.more !== undefined) {
    parts.push(method.more === "required" ? "It has many replies." : "It can have many replies.");
  }
  if (method.descriptors !== undefined) parts.push(`${method.descriptors} descriptors go with a call.`);
  if (Object.keys(method.in).length > 0) parts.push(`.PP\nParameters:\n${fieldEntries(table, name, method.in)}`);
  if (Object.keys(method.out).length > 0) parts.push(`.PP\nReply:\n${fieldEntries(table, name, method.out)}`);
  return parts.join("\n");
}

function typeEntry(table: VarlinkInterface, name: string, type: readonly string[] | VarlinkFields): string {
  const fields = Array.isArray(type)
    ? Object.fromEntries(type.map((value: string) => [value, "value"]))
    : (type as VarlinkFields);
  return `.SS Type ${name}\n${roff(table.notes.types?.[name] ?? "")}\n${fieldEntries(table, name, fields)}`;
}

/** Returns io.machined(7), which describes the Varlink interfaces that systemd does not have. */
export function interfacesPage(tables: readonly VarlinkInterface[], frame: string): string {
  const sections = tables.map((table) => {
    const methods = Object.entries(table.methods).map(([name, method]) => methodEntry(table, name, method));
    const types = Object.entries(table.types).map(([name, type]) => typeEntry(table, name, type));
    return [`.SH ${table.name.toUpperCase()}`, roff(table.doc), ...methods, ...types].join("\n");
  });
  const body = frame.replace("@INTERFACES@", sections.join("\n"));
  return page({ name: "io.machined", section: 7, abstract: "Varlink interfaces of machined", body });
}

/** Returns the page of a client in section 1. `frame` and `verbs` are the contents of the files in install/man. */
export function manualPage(program: ProgramModel, frame: string, verbs: string): string {
  const texts = parseTexts(verbs);
  const body = frame
    .trimEnd()
    .replace(/^@COMMANDS (\w+)@$/gm, (_, group: string) =>
      program.verbs
        .filter((verb) => verb.group === group && !verb.hidden && verb.names[0] !== "help")
        .map((verb) => verbEntry(verb, texts))
        .join("\n"),
    )
    .replace("@OPTIONS@", program.options.map(optionEntry).join("\n"));
  const synopsis = `.SH SYNOPSIS\n.B ${program.name}\n.RI [ OPTION ...]\n.RI [ COMMAND " [" ARGUMENT ...]]`;
  return page({ name: program.name, section: 1, abstract: program.abstract, body: `${synopsis}\n${body}` });
}
