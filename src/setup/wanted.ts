// What an installation consists of, as data.

/**
 * One thing that a host is to have. A program is a copy of the running executable. `dependsOnHost`: the text is made for
 * this host, so that no package can carry it.
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
