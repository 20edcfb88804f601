// Makes the file `copyright` of a Debian package in the format DEP-5: the licence of this project, and those of all
// parts of the executable.
import { licenceText } from "../notices/notices.ts";
import type { LicenceText, Part } from "../notices/part.ts";

/** Licences whose texts every Debian system has, with the names of their files in /usr/share/common-licenses. */
const ON_DEBIAN: Readonly<Partial<Record<string, string>>> = {
  "Apache-2.0": "Apache-2.0",
  "GPL-3.0-or-later": "GPL-3",
  "LGPL-2.0-or-later": "LGPL-2",
  "LGPL-2.1-or-later": "LGPL-2.1",
  "LGPL-3.0-or-later": "LGPL-3",
};

const TEXTS: ReadonlySet<string> = new Set<LicenceText>([
  "BSD-2-Clause",
  "BSD-3-Clause",
  "ISC",
  "MIT",
  "Unicode-3.0",
  "Zlib",
]);

/** Short texts for further SPDX names. */
const SHORT: Readonly<Record<string, string>> = {
  IJG: "This software is based in part on the work of the Independent JPEG Group. It may be used, copied, modified and distributed without fee, provided that this is stated.",
  "GCC-exception-3.1":
    "What is compiled with GCC may be conveyed under terms of your choice (GCC Runtime Library Exception 3.1).",
  "LLVM-exception":
    "What is compiled with LLVM and has parts of it may be conveyed without the notices of the Apache License (LLVM Exception).",
};

/** Returns the text of the file. `ownLicence` is the text of LICENSE, which must have a line of copyright. */
export function copyright(ownLicence: string, parts: readonly Part[]): string {
  const holder = /^Copyright .*$/m.exec(ownLicence)?.[0];
  if (holder === undefined) throw new Error("LICENSE has no line of copyright");
  const names = new Set(["MIT", ...parts.flatMap(({ licence }) => licenceNames(licence))]);
  return [
    "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/",
    "Upstream-Name: machined",
    "Comment: The executable contains the parts below. Their notices and licences are",
    " in full in /usr/share/doc/machined/THIRD-PARTY-NOTICES.gz.",
    "",
    "Files: *",
    `Copyright: ${holder.replace(/^Copyright \(c\) /, "")}`,
    "License: MIT",
    "",
    ...parts.flatMap(stanza),
    ...[...names].sort().flatMap((name) => licence(name, parts)),
  ].join("\n");
}

/** Returns the names of licences in an SPDX expression, without operators and names that are not SPDX's. */
function licenceNames(expression: string): string[] {
  return expression.split(" ").filter((word) => word !== "AND" && word !== "WITH" && !word.startsWith("LicenseRef-"));
}

function stanza({ name, licence, copyright: lines = [], ownText = "" }: Part): string[] {
  const holders = lines.length === 0 ? ["its authors; see THIRD-PARTY-NOTICES"] : lines;
  const isCommon = licenceNames(licence).length > 0;
  return [
    `Files: bundled/${name.toLowerCase().replaceAll(/[^a-z0-9.+]+/g, "-")}/*`,
    `Copyright: ${holders.join("\n ")}`,
    `License: ${licence.replaceAll(" AND ", " and ").replaceAll(" WITH ", " with ").replaceAll("LicenseRef-", "")}`,
    ...(isCommon ? [] : [indented(ownText)]),
    "",
  ];
}

function licence(name: string, parts: readonly Part[]): string[] {
  return [`License: ${name}`, indented(textOf(name, parts)), ""];
}

/**
 * Returns what the file says of the licence with this SPDX name: where Debian has its text, the text of notices.ts or
 * SHORT, or the text that comes with a part under just this licence. Throws an Error if none of them has it.
 */
function textOf(name: string, parts: readonly Part[]): string {
  const onDebian = ON_DEBIAN[name];
  if (onDebian !== undefined) return `On Debian systems, the text is in /usr/share/common-licenses/${onDebian}.`;
  if (TEXTS.has(name)) return licenceText(name as LicenceText); // TEXTS has only such names
  const short = SHORT[name] ?? parts.find(({ licence: one, ownText }) => one === name && ownText)?.ownText;
  if (short === undefined) throw new Error(`The licence '${name}' has no text for Debian's file copyright`);
  return short;
}

function indented(text: string): string {
  return text
    .trimEnd()
    .split("\n")
    .map((line) => (line.trim() === "" ? " ." : ` ${line}`))
    .join("\n");
}
