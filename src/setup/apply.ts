// Carries out the plan of an installation, or removes the files of a manifest. Prints each step.

import { chmodSync, mkdirSync, renameSync, rmdirSync, rmSync } from "node:fs";
import { dirname } from "node:path";
import {
  copyProgram,
  exists,
  look,
  removeTemporariesIn,
  removeTemporary,
  writeLink,
  writeScript,
  writeText,
} from "./disk.ts";
import { attempt, explain, isDiskFull } from "./error.ts";
import type { Host } from "./host.ts";
import { MANIFEST, type Made, unfinished, versionsOf, writeManifest } from "./manifest.ts";
import { isOurs, type Plan, type Step } from "./plan.ts";

/** Prints a line of progress. */
export type Say = (line: string) => void;

/**
 * Carries out a plan; `source` is the executable to install. If a step fails, throws a SetupError; a first installation
 * is then removed, a later one is left as far as it got and can be repeated.
 */
export function apply(host: Host, plan: Plan, source: string, say: Say): void {
  const isFirst = !exists(host.locate(MANIFEST));
  try {
    for (const path of plan.directories.filter(holdsManifest)) makeDirectory(host, path);
    attempt(`write '${host.locate(MANIFEST)}'`, () => writeManifest(host, plan.during));
    for (const path of plan.directories) if (!holdsManifest(path)) makeDirectory(host, path);
    for (const step of plan.steps) carryOut(host, step, source, say);
    removeMade(host, plan.leftovers, say);
    removeTemporariesIn(host.locate(dirname(MANIFEST)));
    attempt(`write '${host.locate(MANIFEST)}'`, () => writeManifest(host, plan.made));
  } catch (error) {
    if (isFirst) {
      const made: Made[] = plan.directories.map((path) => ({ kind: "directory", path }));
      const files = plan.steps.filter((step) => step.action === "make").map((step) => step.made);
      takeAway(host, made.concat(files), () => {});
    }
    throw error;
  }
}

/** Whether a directory is the one of the manifest, or above it. */
function holdsManifest(path: string): boolean {
  return MANIFEST.startsWith(`${path}/`);
}

/**
 * Removes the files, links and empty directories of `made`, and the manifest; without a manifest, what an interrupted
 * installation or removal has left. Changed files are kept.
 */
export function takeAway(host: Host, made: readonly Made[], say: Say): void {
  recordRemoval(host, made);
  const isDirectory = (one: Made) => one.kind === "directory";
  const files = made.filter((one) => !isDirectory(one));
  removeMade(host, files, say);
  // The manifest goes when nothing else is left, so that an interrupted removal can be continued.
  const isLast = (one: Made) => isDirectory(one) && holdsManifest(one.path);
  const others = made.filter((one) => isDirectory(one) && !isLast(one));
  removeMade(host, others, say);
  attempt(`remove '${host.locate(MANIFEST)}'`, () => rmSync(host.locate(MANIFEST), { force: true }));
  const own = dirname(MANIFEST);
  removeTemporariesIn(host.locate(own));
  const directories = made.filter(isLast);
  if (directories.every(({ path }) => path !== own)) directories.push({ kind: "directory", path: own });
  removeMade(host, directories, say);
}

/**
 * Records that the files are being removed, so that an installation after an interrupted removal makes them again. A
 * full disk is no reason not to remove them.
 */
function recordRemoval(host: Host, made: readonly Made[]): void {
  if (!exists(host.locate(MANIFEST))) return;
  const isThere = (one: Made) => look(host.locate(one.path)) !== null;
  const during = made.map((one) => (isThere(one) ? unfinished(one, versionsOf(one)[1] ?? null) : one));
  try {
    writeManifest(host, during);
  } catch (error) {
    if (!isDiskFull(error)) throw explain(`write '${host.locate(MANIFEST)}'`, error);
  }
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
    if (isOurs(found, one)) say(line("would remove", path));
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
  removeTemporary(path);
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
    if (one.kind !== "directory") removeTemporary(path);
    const found = look(path);
    if (found === null) continue;
    if (one.kind === "directory") {
      if (removeIfEmpty(path)) say(line("removed", path));
    } else if (isOurs(found, one)) {
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
