// The npm packages in the executable: those from which the bundler has taken code, and those inside their published
// bundles.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Part } from "./part.ts";

/** The members of the bundler's metafile that are read here. */
export interface Metafile {
  readonly outputs: Readonly<Record<string, { readonly inputs?: Readonly<Record<string, { bytesInOutput: number }>> }>>;
}

const PACKAGE_FOLDER = /^(?:.*\/)?node_modules\/(?:@[^/]+\/)?[^/]+/;

/** Returns the directories of the packages of which the outputs contain code. */
export function packageFolders({ outputs }: Metafile): string[] {
  const folders = new Set<string>();
  for (const { inputs = {} } of Object.values(outputs)) {
    for (const [path, { bytesInOutput }] of Object.entries(inputs)) {
      const folder = PACKAGE_FOLDER.exec(path)?.[0];
      if (folder !== undefined && bytesInOutput > 0) folders.add(folder);
    }
  }
  return [...folders].sort();
}

/** Names of licences in package.json files, with their names in SPDX. */
const SPDX: Readonly<Record<string, string>> = { "LGPL-3.0+": "LGPL-3.0-or-later" };

/** Licences of packages whose package.json does not name one, taken from their file LICENSE. */
const FROM_LICENCE_FILE: Readonly<Record<string, string>> = { jsbi: "Apache-2.0" };

const REMARKS: Readonly<Record<string, string>> = {
  openpgp:
    "It is used unchanged. To run this program with another version of it, see 'Another version of a library' in docs/release.md.",
};

interface Described {
  readonly name: string;
  readonly version: string;
  readonly license?: string;
}

/**
 * Returns a package as a part, from the files in its directory. Throws if its licence or the text of that is missing.
 */
export function npmPart(top: string, folder: string): Part {
  const described: Described = JSON.parse(readFileSync(join(top, folder, "package.json"), "utf8"));
  const { name, version } = described;
  const license = described.license ?? FROM_LICENCE_FILE[name];
  const file = readdirSync(join(top, folder)).find((one) => /^licen[cs]e/i.test(one));
  if (license === undefined || file === undefined) {
    throw new Error(`'${folder}' is bundled, but its licence or the file LICENSE is missing: find out its terms first`);
  }
  return {
    name,
    version,
    licence: SPDX[license] ?? license,
    ownText: readFileSync(join(top, folder, file), "utf8"),
    purl: `pkg:npm/${name.replace("@", "%40")}@${version}`,
    ...(REMARKS[name] === undefined ? {} : { remark: REMARKS[name] }),
  };
}

/** Packages that are inside the published bundles of other packages, where this project's bundler does not see them. */
export const CARRIED: readonly Part[] = [
  {
    name: "scule",
    within: "citty",
    licence: "MIT",
    texts: ["MIT"],
    copyright: ["Copyright (c) Pooya Parsa <pooya@pi0.io>"],
  },
  ...["noble-ciphers", "noble-curves", "noble-hashes"].map(
    (name): Part => ({
      name,
      within: "openpgp",
      licence: "MIT",
      texts: ["MIT"],
      copyright: ["Copyright (c) 2022 Paul Miller (https://paulmillr.com)"],
    }),
  ),
  {
    name: "fflate",
    within: "openpgp",
    licence: "MIT",
    texts: ["MIT"],
    copyright: ["Copyright (c) 2026 Arjun Barrett"],
  },
  {
    name: "argon2id",
    within: "openpgp",
    licence: "MIT",
    texts: ["MIT"],
    copyright: ["Copyright (c) 2022, Proton AG", "Copyright (c) 2017, Emil Bay github@tixz.dk"],
  },
  {
    name: "web-stream-tools",
    within: "openpgp",
    licence: "MIT",
    texts: ["MIT"],
    copyright: ["Copyright (c) 2018 Proton Technologies A.G."],
  },
  {
    name: "bzip2.js",
    within: "openpgp",
    licence: "MIT",
    texts: ["MIT"],
    copyright: ["Copyright (c) 2011 by antimatter15 (antimatter15@gmail.com)."],
  },
  {
    name: "Miller-Rabin test of primes",
    within: "openpgp",
    licence: "MIT",
    texts: ["MIT"],
    copyright: ["Copyright Fedor Indutny, 2014."],
  },
  {
    name: "OpenPGP radix-64 and RSA/AES",
    within: "openpgp",
    licence: "LicenseRef-hanewin",
    copyright: ["Copyright 2005, 2006 Herbert Hanewinkel, www.haneWIN.de"],
    ownText:
      "This software is provided as-is, without express or implied warranty.\n" +
      "Permission to use, copy, modify, distribute or sell this software, with or\n" +
      "without fee, for any purpose and by any individual or organization, is hereby\n" +
      "granted, provided that the above copyright notice and this paragraph appear\n" +
      "in all copies. Distribution as a part of an application or binary must\n" +
      "include the above copyright notice in the documentation and/or other materials\n" +
      "provided with the application or distribution.\n",
  },
];
