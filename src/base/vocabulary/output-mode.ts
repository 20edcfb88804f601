// The forms in which journalctl(1) prints entries, in the order in which `-o help` lists them.

export const OUTPUT_MODES = [
  "short",
  "short-full",
  "short-iso",
  "short-iso-precise",
  "short-precise",
  "short-monotonic",
  "short-delta",
  "short-unix",
  "verbose",
  "export",
  "json",
  "json-pretty",
  "json-sse",
  "json-seq",
  "cat",
  "with-unit",
] as const;

export type OutputMode = (typeof OUTPUT_MODES)[number];
