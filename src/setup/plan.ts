// Plans an installation: compares the wanted files with those on the host and decides what to do with each. Nothing is
// changed. Files that neither this nor an earlier installation has made are not replaced.

import { exists, type Found, hashOfFile, hashOfText, look } from "./disk.ts";
import type { Host } from "./host.ts";
import { parentsOf, UNIT } from "./layout/machined.ts";
import { MANIFEST, type Made } from "./manifest.ts";
import { SetupError } from "./setup-error.ts";
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
}

/** Plans an installation of the executable `source`. Throws a SetupError if files of others are in the way. */
export function plan(host: Host, wanted: readonly Wanted[], source: string, options: PlanOptions): Plan {
  const { earlier } = options;
  const steps = planSteps(host, wanted, source, options);
  const parents = new Set([...wanted.map((one) => one.path), MANIFEST].flatMap(parentsOf));
  const directories = [...parents].filter((path) => !exists(host.locate(path))).sort();
  const ours = new Set([
    ...directories,
    ...earlier.filter((made) => made.kind === "directory").map((made) => made.path),
  ]);
  const made = [
    ...[...parents]
      .filter((path) => ours.has(path))
      .sort()
      .map((path): Made => ({ kind: "directory", path })),
    ...steps.filter((step) => isOurs(step, earlier)).map((step) => step.made),
  ];
  const paths = new Set(made.map((one) => one.path));
  return { steps, directories, made, leftovers: earlier.filter((one) => !paths.has(one.path)) };
}

/**
 * Whether the file of a step belongs in the manifest. One that is left does only if an earlier installation has made
 * it.
 */
function isOurs({ action, made }: Step, earlier: readonly Made[]): boolean {
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
    const action = keepChanges
      ? decideCarefully(found, made, before.get(one.path))
      : decide(found, made, before.get(one.path));
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

/** Decides what to do with a file; `before` is its entry in the old manifest. Null if it belongs to others. */
function decide(found: Found | null, made: Made, before: Made | undefined): Action | null {
  if (found === null) return "make";
  if (isSame(found, made)) return "keep";
  if (before === undefined || found.kind !== before.kind) return null;
  return isSame(found, before) ? "replace" : "save";
}

/**
 * The same for --keep-changes: files that were removed or changed since the last installation, and those of others, are
 * left.
 */
function decideCarefully(found: Found | null, made: Made, before: Made | undefined): Action {
  if (found === null && before !== undefined) return "leave";
  const action = decide(found, made, before);
  return action === null || action === "save" ? "leave" : action;
}

/** Whether what exists on the host equals an entry of a manifest. */
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
  return new SetupError(
    `${names} ${verb} in the way and not from 'machined install': move ${them} away and run this again`,
  );
}
