// The type of a third-party part of the executable.

/** SPDX names of the licences whose texts are in the folder `licences`. */
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

/** A third-party part of the executable. */
export interface Part {
  readonly name: string;
  readonly version?: string;
  /** An SPDX expression. */
  readonly licence: string;
  /** The part's own text of the licence; without it, `texts` names common ones. */
  readonly ownText?: string;
  readonly texts?: readonly LicenceText[];
  /** Lines of copyright. */
  readonly copyright?: readonly string[];
  /** The URL of its source. */
  readonly source?: string;
  /** A package URL (purl), by which programs look up known vulnerabilities. */
  readonly purl?: string;
  /** The name of another part that contains this one. */
  readonly within?: string;
  /** A further notice that the licence requires. */
  readonly remark?: string;
}
