// Makes THIRD-PARTY-NOTICES: the parts of the executable with their authors and licences.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { LicenceText, Part } from "./part.ts";

const RULE = "=".repeat(80);

/** Returns the text of a licence. */
export function licenceText(name: LicenceText): string {
  return readFileSync(join(import.meta.dir, "licences", `${name}.txt`), "utf8").trimEnd();
}

/** Returns the text of the file. */
export function notices(version: string, parts: readonly Part[]): string {
  const common = [...new Set(parts.flatMap(({ texts = [], licence }) => [...texts, ...including(licence)]))].sort();
  return [
    `machined ${version} is licensed under the MIT licence (see LICENSE). Its executable also contains the parts listed`,
    "here, each under its own licence. The texts of common licences are at the end.",
    "",
    ...parts.flatMap(entry),
    ...common.flatMap((name) => [RULE, `Licence ${name}`, RULE, "", licenceText(name), ""]),
  ].join("\n");
}

/** Returns further licences to print: the LGPL 3 is a supplement to the GPL 3. */
function including(licence: string): LicenceText[] {
  return licence.startsWith("LGPL-3.0") ? ["GPL-3.0"] : [];
}

function entry(part: Part): string[] {
  const { name, version = "", licence, copyright = [], source, within, remark, texts = [], ownText } = part;
  return [
    RULE,
    `${name} ${version}`.trimEnd() + (within === undefined ? "" : ` (in ${within})`),
    `Licence: ${licence}`,
    ...(source === undefined ? [] : [`Source: ${source}`]),
    RULE,
    "",
    ...copyright,
    ...(copyright.length === 0 ? [] : [""]),
    ...(remark === undefined ? [] : [remark, ""]),
    ...(ownText === undefined ? [`The text is below: ${texts.join(", ")}.`] : [ownText.trimEnd()]),
    "",
  ];
}
