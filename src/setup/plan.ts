// Compares what a host is to have with what stands there. A plan changes nothing: it says what will be made, what stays
// and with what an earlier installation left; it refuses to replace files that belong to something else.

import { existsSync } from "node:fs";
import { type Found, hashOfFile, hashOfText, look } from "./disk.ts";
import type { Host } from "./host.ts";
import { parentsOf, UNIT } from "./layout.ts";
import { MANIFEST, type Made } from "./manifest.ts";
import { SetupError } from "./setup-error.ts";
import type { Wanted } from "./wanted.ts";

/** `save`: the file is ours, but was edited since; the edited one is kept under another name. */
type Action = "make" | "keep" | "replace" | "save";

export interface Step {
  readonly wanted: Wanted;
  readonly made: Made;
  readonly action: Action;
}

export interface Plan {
  readonly steps: readonly Step[];
  /** Directories to make first, outermost first. */
  readonly directories: readonly string[];
  /** What the manifest is to name: directories, files and links, in the order of making. */
  readonly made: readonly Made[];
  /** What an earlier version made and this one does not want. */
  readonly leftovers: readonly Made[];
}

/** Plans an installation of the executable `source`. `earlier` is what the last installation made. */
export function plan(host: Host, wanted: readonly Wanted[], source: string, earlier: readonly Made[]): Plan {
  const steps = planSteps(host, wanted, source, earlier);
  const parents = new Set([...wanted.map((one) => one.path), MANIFEST].flatMap(parentsOf));
  const directories = [...parents].filter((path) => !existsSync(host.locate(path))).sort();
  const ours = new Set([
    ...directories,
    ...earlier.filter((made) => made.kind === "directory").map((made) => made.path),
  ]);
  const made = [
    ...[...parents]
      .filter((path) => ours.has(path))
      .sort()
      .map((path): Made => ({ kind: "directory", path })),
    ...steps.map((step) => step.made),
  ];
  const paths = new Set(made.map((one) => one.path));
  return { steps, directories, made, leftovers: earlier.filter((one) => !paths.has(one.path)) };
}

function planSteps(host: Host, wanted: readonly Wanted[], source: string, earlier: readonly Made[]): Step[] {
  const before = new Map(earlier.map((made) => [made.path, made]));
  const programHash = hashOfFile(source);
  const steps: Step[] = [];
  const conflicts: string[] = [];
  for (const one of wanted) {
    const made = toMade(one, programHash);
    const action = decide(look(host.locate(one.path)), made, before.get(one.path));
    if (action === null) conflicts.push(one.path);
    else steps.push({ wanted: one, made, action });
  }
  if (conflicts.length > 0) throw conflictError(host, conflicts);
  return steps;
}

function toMade(wanted: Wanted, programHash: string): Made {
  switch (wanted.kind) {
    case "program":
      return { kind: "file", path: wanted.path, sha256: programHash };
    case "file":
      return { kind: "file", path: wanted.path, sha256: hashOfText(wanted.text) };
    case "link":
      return { kind: "link", path: wanted.path, target: wanted.target };
  }
}

/** null where something stands that is not ours. */
function decide(found: Found | null, made: Made, before: Made | undefined): Action | null {
  if (found === null) return "make";
  if (isSame(found, made)) return "keep";
  if (before === undefined || found.kind !== before.kind) return null;
  return isSame(found, before) ? "replace" : "save";
}

/** Whether the file there equals the one that was installed or would be. */
export function isSame(found: Found, made: Made): boolean {
  switch (made.kind) {
    case "file":
      return found.kind === "file" && found.sha256 === made.sha256;
    case "link":
      return found.kind === "link" && found.target === made.target;
    case "directory":
      return found.kind === "directory";
  }
}

function conflictError(host: Host, paths: readonly string[]): SetupError {
  const unit = look(host.locate(UNIT));
  if (paths.includes(UNIT) && unit?.kind === "link" && unit.target === "/dev/null") {
    return new SetupError("systemd-machined.service is masked: run 'systemctl unmask systemd-machined.service' first");
  }
  const names = paths.map((path) => `'${host.locate(path)}'`).join(", ");
  const [verb, them] = paths.length === 1 ? ["is", "it"] : ["are", "them"];
  return new SetupError(`${names} ${verb} in the way and not from here: move ${them} away and run this again`);
}
