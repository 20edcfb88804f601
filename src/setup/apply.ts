// Carries out the plan of an installation, or removes the files of a manifest. Prints each step.

import { chmodSync, mkdirSync, renameSync, rmdirSync, rmSync } from "node:fs";
import { copyProgram, exists, look, writeLink, writeScript, writeText } from "./disk.ts";
import type { Host } from "./host.ts";
import { MANIFEST, type Made, writeManifest } from "./manifest.ts";
import { isSame, type Plan, type Step } from "./plan.ts";
import { attempt } from "./setup-error.ts";

/** Prints a line of progress. */
export type Say = (line: string) => void;

/**
 * Carries out a plan; `source` is the executable to install. If a step fails, throws a SetupError; a first installation
 * is then removed, a later one is left as far as it got and can be repeated.
 */
export function apply(host: Host, plan: Plan, source: string, say: Say): void {
  const isFirst = !exists(host.locate(MANIFEST));
  try {
    for (const path of plan.directories) makeDirectory(host, path);
    const recorded = plan.leftovers.concat(plan.made);
    attempt(`write '${host.locate(MANIFEST)}'`, () => writeManifest(host, recorded));
    for (const step of plan.steps) carryOut(host, step, source, say);
    removeMade(host, plan.leftovers, say);
    writeManifest(host, plan.made);
  } catch (error) {
    if (isFirst) {
      const made: Made[] = plan.directories.map((path) => ({ kind: "directory", path }));
      const files = plan.steps.filter((step) => step.action === "make").map((step) => step.made);
      takeAway(host, made.concat(files), () => {});
    }
    throw error;
  }
}

/** Removes the files, links and empty directories of `made`, and the manifest. Changed files are kept. */
export function takeAway(host: Host, made: readonly Made[], say: Say): void {
  const isDirectory = (one: Made) => one.kind === "directory";
  removeMade(
    host,
    made.filter((one) => !isDirectory(one)),
    say,
  );
  attempt(`remove '${host.locate(MANIFEST)}'`, () => rmSync(host.locate(MANIFEST), { force: true }));
  removeMade(host, made.filter(isDirectory), say);
}

/** Prints what apply() would do. */
export function describe(host: Host, plan: Plan, say: Say): void {
  for (const step of plan.steps) say(line(WOULD[step.action], host.locate(step.wanted.path)));
  for (const made of plan.leftovers) say(line("would remove", host.locate(made.path)));
}

/**
 * Prints what takeAway() would do, without directories, because it depends on their other files whether they are
 * removed.
 */
export function describeRemoval(host: Host, made: readonly Made[], say: Say): void {
  for (const one of made.toReversed()) {
    const path = host.locate(one.path);
    const found = look(path);
    if (found === null || one.kind === "directory") continue;
    if (isSame(found, one)) say(line("would remove", path));
    else say(line(found.kind === "file" && mayMove(one) ? "would keep" : "would leave", path));
  }
}

const WOULD = {
  make: "would make",
  keep: "exists",
  replace: "would replace",
  save: "would replace",
  leave: "would leave",
} as const;
const DID = { make: "made", keep: "exists", replace: "replaced", save: "replaced", leave: "left" } as const;

function line(word: string, path: string): string {
  return `${word.padEnd(8)} ${path}`;
}

function makeDirectory(host: Host, path: string): void {
  const located = host.locate(path);
  attempt(`make directory '${located}'`, () => {
    mkdirSync(located);
    chmodSync(located, 0o755);
  });
}

function carryOut(host: Host, { wanted, action }: Step, source: string, say: Say): void {
  const path = host.locate(wanted.path);
  if (action === "save") save(path, say);
  if (action !== "keep" && action !== "leave") {
    attempt(`write '${path}'`, () => {
      switch (wanted.kind) {
        case "program":
          return copyProgram(source, path);
        case "file":
          return wanted.isExecutable === true ? writeScript(path, wanted.text) : writeText(path, wanted.text);
        case "link":
          return writeLink(path, wanted.target);
      }
    });
  }
  say(line(DID[action], path));
}

/** Renames a file that was changed after its installation, so that the changes are not lost. Earlier ones stay. */
function save(path: string, say: Say): void {
  let saved = `${path}.saved`;
  for (let number = 2; look(saved) !== null; number++) saved = `${path}.saved.${number}`;
  attempt(`rename '${path}' to '${saved}'`, () => renameSync(path, saved));
  say(line("kept", `${saved} (it was changed after the installation)`));
}

/** Removes what `made` lists, in reverse order, where it is still what was made. */
function removeMade(host: Host, made: readonly Made[], say: Say): void {
  for (const one of made.toReversed()) {
    const path = host.locate(one.path);
    const found = look(path);
    if (found === null) continue;
    if (one.kind === "directory") {
      if (removeIfEmpty(path)) say(line("removed", path));
    } else if (isSame(found, one)) {
      attempt(`remove '${path}'`, () => rmSync(path));
      say(line("removed", path));
    } else if (found.kind === "file" && mayMove(one)) {
      save(path, say);
    } else {
      say(line("left", `${path} (it is not what was installed)`));
    }
  }
}

/** Whether a changed file may be renamed. A file in place of an installed link belongs to a package, except in /etc. */
function mayMove(made: Made): boolean {
  return made.kind === "file" || made.path.startsWith("/etc/");
}

/** Removes a directory; returns false if it contains other files. */
function removeIfEmpty(path: string): boolean {
  try {
    rmdirSync(path);
    return true;
  } catch {
    return false;
  }
}
