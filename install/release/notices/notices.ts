// THIRD-PARTY-NOTICES: who made what the executable contains, and under which terms.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { LicenceText, Part } from "./part.ts";

const RULE = "=".repeat(80);

/** The text of a licence that several parts have. */
export function licenceText(name: LicenceText): string {
  return readFileSync(join(import.meta.dir, "licences", `${name}.txt`), "utf8").trimEnd();
}

/** The file, for the version and the parts. */
export function notices(version: string, parts: readonly Part[]): string {
  const common = [...new Set(parts.flatMap(({ texts = [], licence }) => [...texts, ...including(licence)]))].sort();
  return [
    `machined ${version} is under the MIT licence (see LICENSE). Its executable also contains what is listed here,`,
    "under the terms of each. The texts of the licences that several have stand at the end.",
    "",
    ...parts.flatMap(entry),
    ...common.flatMap((name) => [RULE, `Licence ${name}`, RULE, "", licenceText(name), ""]),
  ].join("\n");
}

/** The LGPL 3 is a supplement to the GPL 3, which must be there as well. */
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
