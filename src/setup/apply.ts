// Carries out a plan, or removes what a manifest lists. Both print each step.

import { chmodSync, existsSync, mkdirSync, renameSync, rmdirSync, rmSync } from "node:fs";
import { copyProgram, look, writeLink, writeScript, writeText } from "./disk.ts";
import type { Host } from "./host.ts";
import { MANIFEST, type Made, writeManifest } from "./manifest.ts";
import { isSame, type Plan, type Step } from "./plan.ts";
import { attempt } from "./setup-error.ts";

export type Say = (line: string) => void;

/** Makes what the plan says; where that fails, a first installation leaves nothing behind. */
export function apply(host: Host, plan: Plan, source: string, say: Say): void {
  const isFirst = !existsSync(host.locate(MANIFEST));
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

/** Removes all that a manifest names, and the manifest. */
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

/** What a plan would do, in the words of `apply`. */
export function describe(host: Host, plan: Plan, say: Say): void {
  for (const step of plan.steps) say(line(WOULD[step.action], host.locate(step.wanted.path)));
  for (const made of plan.leftovers) say(line("would remove", host.locate(made.path)));
}

/** What `takeAway()` would do. Directories go where nothing else is in them. */
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
  keep: "is there",
  replace: "would renew",
  save: "would renew",
  leave: "leave",
} as const;
const DID = { make: "made", keep: "is there", replace: "renewed", save: "renewed", leave: "left" } as const;

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

function save(path: string, say: Say): void {
  const saved = `${path}.saved`;
  attempt(`rename '${path}' to '${saved}'`, () => renameSync(path, saved));
  say(line("kept", `${saved} (it was changed since it was made)`));
}

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
      say(line("left", `${path} (it is not what was made)`));
    }
  }
}

/** A file that took the place of a link outside of /etc came with a package, whose file it is. */
function mayMove(made: Made): boolean {
  return made.kind === "file" || made.path.startsWith("/etc/");
}

/** A directory that contains other files is kept. */
function removeIfEmpty(path: string): boolean {
  try {
    rmdirSync(path);
    return true;
  } catch {
    return false;
  }
}
