// Generates docs/json.md, which describes the JSON output of every verb with --json=.
import { JSON_SECTIONS, type JsonSection, listSection, type Schema } from "./json-schemas.ts";
import type { ProgramModel, VerbModel } from "./model.ts";

/** Returns a schema as a block of code; the formatter lays it out. */
function schemaBlock(schema: Schema): string {
  return `\`\`\`json\n${JSON.stringify(schema, null, 2)}\n\`\`\``;
}

function sectionOf(program: string, { names: [name = ""], columns }: VerbModel): JsonSection {
  const section = JSON_SECTIONS[`${program} ${name}`] ?? (columns.length > 0 ? listSection(columns) : undefined);
  if (section === undefined)
    throw new Error(`'${program} ${name}' has --json= but no schema: add one to install/generate/json-schemas.ts`);
  return section;
}

function sectionText(program: string, verb: VerbModel): string {
  const { form, schema, second } = sectionOf(program, verb);
  const versions =
    second === undefined
      ? []
      : ["With `--json-version=2`, columns with several values are arrays:", schemaBlock(second)];
  return [`## ${program} ${verb.names[0]}`, form, schemaBlock(schema), ...versions].join("\n\n");
}

/** Returns docs/json.md. Verbs that both clients have in the same form are described once, with importctl. */
export function jsonPage(programs: readonly ProgramModel[]): string {
  const sections = programs.flatMap(({ name, verbs }) =>
    verbs.filter(({ options, hidden }) => options.includes("--json") && !hidden).map((verb) => sectionText(name, verb)),
  );
  return `# JSON

Generated from the tables of columns, properties and verbs by \`npm run docs\`; do not edit.

Every verb that prints facts has \`--json=short\` (a line for each document), \`--json=pretty\` (indented) and \`--json=off\`. The
schemas are JSON Schema, draft 2020-12. What is not known is null. Integers have up to 64 bits: 18446744073709551615 stands
for a limit or a size that is not known in properties of D-Bus. Members are added and never taken away or changed in meaning.

Lists (\`list\`, \`stats\`, \`list-images\`, \`list-transfers\`) take \`--columns=\`, which chooses the members, and
\`--json-version=\`. Version 1, the default, is what systemd's programs print: a column with several values is one text with a
line for each, and importctl prints nothing at all for a list without rows. With version 2 several values are an array, and a
list without rows is \`[]\`. \`list --max-addresses=0\` leaves out the member \`addresses\`. machinectl's \`list-transfers\` is
importctl's. \`stats --iterations=\` prints an object for each machine and moment, a line each, without an array around them.

${sections.join("\n\n")}
`;
}
