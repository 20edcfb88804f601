// Plans an installation: compares the wanted files with those on the host and decides what to do with each. Nothing is
// changed. Files that neither this nor an earlier installation has made are not replaced.

import { dirname } from "node:path";
import { exists, type Found, hashOfFile, hashOfText, look } from "./disk.ts";
import { SetupError } from "./error.ts";
import type { Host } from "./host.ts";
import { parentsOf, UNIT } from "./layout/machined.ts";
import { isUnfinished, MANIFEST, type Made, unfinished, versionsOf } from "./manifest.ts";
import type { Wanted } from "./wanted.ts";

/**
 * `make`: the file does not exist. `keep`: it exists with the wanted contents. `replace`: it is unchanged since an
 * earlier installation. `save`: it was edited since then; it is renamed and then replaced. `leave`: it is not touched.
 */
type Action = "make" | "keep" | "replace" | "save" | "leave";

interface PlanOptions {
  /** What the last installation has made. */
  readonly earlier: readonly Made[];
  /** Whether to leave files that were changed or removed since then, and files of others in the way. */
  readonly keepChanges: boolean;
}

/** The action for one file. */
export interface Step {
  readonly wanted: Wanted;
  /** The entry for the manifest. */
  readonly made: Made;
  /** The entry of the earlier manifest; null for none. */
  readonly before: Made | null;
  readonly action: Action;
}

/** The plan of an installation. */
export interface Plan {
  readonly steps: readonly Step[];
  /** Directories to make first, outermost first. */
  readonly directories: readonly string[];
  /** The new manifest: directories, files and links in the order of their making. */
  readonly made: readonly Made[];
  /** What an earlier installation has made and this one does not need. */
  readonly leftovers: readonly Made[];
  /** The manifest while the plan is carried out. */
  readonly during: readonly Made[];
}

/** Plans an installation of the executable `source`. Throws a SetupError if files of others are in the way. */
export function plan(host: Host, wanted: readonly Wanted[], source: string, options: PlanOptions): Plan {
  const { earlier } = options;
  const steps = planSteps(host, wanted, source, options);
  const parents = new Set([...wanted.map((one) => one.path), MANIFEST].flatMap(parentsOf));
  const directories = [...parents].filter((path) => !exists(host.locate(path))).sort();
  const ours = new Set([
    ...directories,
    // An installation that was interrupted before it wrote its first manifest has made it.
    dirname(MANIFEST),
    ...earlier.filter((made) => made.kind === "directory").map((made) => made.path),
  ]);
  const made = [
    ...[...parents]
      .filter((path) => ours.has(path))
      .sort()
      .map((path): Made => ({ kind: "directory", path })),
    ...steps.filter((step) => isRecorded(step, earlier)).map((step) => step.made),
  ];
  const paths = new Set(made.map((one) => one.path));
  const leftovers = earlier.filter((one) => !paths.has(one.path));
  const changes = new Map(steps.filter(isChange).map(({ made, before }) => [made.path, unfinished(made, before)]));
  const during = [...leftovers, ...made.map((one) => changes.get(one.path) ?? one)];
  return { steps, directories, made, leftovers, during };
}

function isChange({ action }: Step): boolean {
  return action === "make" || action === "replace" || action === "save";
}

/**
 * Whether the file of a step belongs in the manifest. One that is left does only if an earlier installation has made
 * it.
 */
function isRecorded({ action, made }: Step, earlier: readonly Made[]): boolean {
  return action !== "leave" || earlier.some((one) => one.path === made.path);
}

function planSteps(host: Host, wanted: readonly Wanted[], source: string, options: PlanOptions): Step[] {
  const { earlier, keepChanges } = options;
  const before = new Map(earlier.map((made) => [made.path, made]));
  const programHash = wanted.some(({ kind }) => kind === "program") ? hashOfFile(source) : "";
  const steps: Step[] = [];
  const conflicts: string[] = [];
  for (const one of wanted) {
    const made = toMade(one, programHash);
    const found = look(host.locate(one.path));
    const known = before.get(one.path) ?? null;
    const action = keepChanges ? decideCarefully(found, made, known) : decide(found, made, known);
    if (action === null) conflicts.push(one.path);
    else steps.push({ wanted: one, made, before: known, action });
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

/** Decides what to do with a file; `before` is its entry in the old manifest. Null if it belongs to others. */
function decide(found: Found | null, made: Made, before: Made | null): Action | null {
  if (found === null) return "make";
  if (isSame(found, made)) return "keep";
  if (before === null) return null;
  if (isOurs(found, before)) return "replace";
  return found.kind === before.kind ? "save" : null;
}

/**
 * decide() for --keep-changes: files that were removed or changed since the last installation, and those of others, are
 * left.
 */
function decideCarefully(found: Found | null, made: Made, before: Made | null): Action {
  if (found === null && before !== null && !isUnfinished(before)) return "leave";
  const action = decide(found, made, before);
  return action === null || action === "save" ? "leave" : action;
}

/** Whether what exists on the host is what an installation has made, or one before it that was not replaced yet. */
export function isOurs(found: Found, made: Made): boolean {
  return versionsOf(made).some((version) => isSame(found, version));
}

/** Whether what exists on the host equals an entry of a manifest. */
function isSame(found: Found, made: Made): boolean {
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
  return new SetupError(
    `${names} ${verb} in the way and not from 'machined install': move ${them} away and run this again`,
  );
}
