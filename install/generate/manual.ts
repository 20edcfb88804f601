// Manual pages of the clients: a frame with hand-written sections, a text for each verb, and synopses and options from the
// tables. roff as man(7) describes it.
import { version } from "../../package.json";
import { IMAGE_SEARCH_PATHS } from "../../src/base/vocabulary/image-class.ts";
import type { OptionModel, ProgramModel, VerbModel } from "./model.ts";
import { NOTICE } from "./model.ts";

/** Text as roff: a hyphen is a minus that can be copied, a backslash is itself. */
function roff(text: string): string {
  return text
    .replace(/\\/g, "\\e")
    .replace(/-/g, "\\-")
    .replace(/…/g, "\\&...")
    .replace(/^([.'])/gm, "\\&$1");
}

/** The texts of a `.verbs` file: `## NAME`, then lines of roff. */
function parseTexts(file: string): Map<string, string> {
  const texts = new Map<string, string>();
  for (const part of file.split(/^## /m).slice(1)) {
    const end = part.indexOf("\n");
    texts.set(part.slice(0, end), part.slice(end + 1).trimEnd());
  }
  return texts;
}

function optionEntry({ names, takesValue, hint, description }: OptionModel): string {
  const spelled = names.map((name) => {
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
  return `.TP\n${names}${words}\n${roff(verb.description)}.\n${text.replace(/(?<!\\)-/g, "\\-")}${options}`;
}

/** When the hand-written parts were last looked through. */
const REVISED = "2026-11-28";

const FILL_COLUMNS = 80;

/** Long lines of text broken at blanks; requests stay whole, and no line begins with a character that would make it one. */
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

/** The page in section 1 of `program`. `frame` and `verbs` are the texts of install/man. */
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
    .replace("@IMAGE_DIRECTORIES@", `.IR ${IMAGE_SEARCH_PATHS.machine.join(' ", " ')}`)
    .replace("@OPTIONS@", program.options.map(optionEntry).join("\n"));
  return fill(`.\\" ${NOTICE}
.TH ${program.name.toUpperCase()} 1 ${REVISED} "machined ${version}"
.SH NAME
${program.name} \\- ${roff(program.abstract)}
.SH SYNOPSIS
.B ${program.name}
.RI [ OPTION ...]
.RI [ COMMAND " [" ARGUMENT ...]]
${body}
`);
}
