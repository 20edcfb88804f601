// The type of the files that an installation consists of.

/**
 * A file that an installation makes. `program` is a copy of the running executable. `dependsOnHost`: the text is made
 * for one host, so that a package cannot contain it.
 */
export type Wanted =
  | { readonly kind: "program"; readonly path: string }
  | { readonly kind: "link"; readonly path: string; readonly target: string }
  | {
      readonly kind: "file";
      readonly path: string;
      readonly text: string;
      readonly dependsOnHost?: true;
      readonly isExecutable?: true;
    };
