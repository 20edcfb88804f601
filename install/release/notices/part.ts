// One thing that the executable contains and that is not of this project.

/** Names of SPDX for the licences whose texts stand in the folder `licences`. */
export type LicenceText =
  | "Apache-2.0"
  | "BSD-2-Clause"
  | "BSD-3-Clause"
  | "GPL-3.0"
  | "ISC"
  | "LGPL-2.0"
  | "LGPL-2.1"
  | "MIT"
  | "Unicode-3.0"
  | "Zlib";

export interface Part {
  readonly name: string;
  readonly version?: string;
  /** An SPDX expression. */
  readonly licence: string;
  /** The licence as the part itself has it; without it, `texts` names the common ones. */
  readonly ownText?: string;
  readonly texts?: readonly LicenceText[];
  /** Lines of copyright. */
  readonly copyright?: readonly string[];
  /** Where its source is. */
  readonly source?: string;
  /** A package URL (purl), for programs that look for known weaknesses. */
  readonly purl?: string;
  /** What it came with: the name of another part. */
  readonly within?: string;
  /** What else the licence asks to be said. */
  readonly remark?: string;
}
