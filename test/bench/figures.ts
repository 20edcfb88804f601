// Figures of several rounds, and where they are written down.
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism, release } from "node:os";
import { join } from "node:path";
import { build } from "../../install/build.ts";
import { prepareBeds, setAside, type Tree } from "../lib/host-suite.ts";
import { TOP } from "../lib/run-tests.ts";

export type Figures = Readonly<Record<string, number>>;

/** The value of `--name=`. */
export function option(args: readonly string[], name: string, otherwise: string): string {
  const word = args.find((one) => one.startsWith(`--${name}=`));
  return word === undefined ? otherwise : word.slice(name.length + 3);
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? (sorted[middle] ?? 0) : ((sorted[middle - 1] ?? 0) + (sorted[middle] ?? 0)) / 2;
}

/** The median of each figure over several runs. */
export function medians(runs: readonly Figures[]): Figures {
  const names = Object.keys(runs[0] ?? {});
  return Object.fromEntries(names.map((name) => [name, median(runs.map((run) => run[name] ?? Number.NaN))]));
}

/** A figure with three digits. */
export function show(value: number): string {
  return value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2);
}

/** How our figure compares with theirs. */
export function verdict(theirs: number, own: number, better: "less" | "more"): string {
  const ratio = better === "less" ? theirs / own : own / theirs;
  return ratio >= 1 ? `${ratio.toFixed(1)} × better` : `${(1 / ratio).toFixed(1)} × worse`;
}

export function whereAndWhen(): string {
  const kernel = release().split(".").slice(0, 2).join(".");
  return `Linux ${kernel}, ${availableParallelism()} processors, ${new Date().toISOString().slice(0, 10)}`;
}

/** Runs `work` with a bed of `tree` ready and MACHINED_DIST set; returns an exit code. */
export async function withExecutable(tree: Tree, work: () => Promise<void>): Promise<number> {
  const reason = await prepareBeds([tree]);
  if (reason !== null) {
    console.error(`Nothing can be measured here: ${reason}`);
    return 1;
  }
  const given = process.env["MACHINED_DIST"];
  const directory = given ?? setAside(build());
  process.env["MACHINED_DIST"] = directory;
  try {
    await work();
  } finally {
    if (given === undefined) rmSync(directory, { recursive: true });
  }
  return 0;
}

const PAGE = join(TOP, "docs/benchmarks.md");

/** Replaces the part of docs/benchmarks.md below a heading, or what stands in front of all headings; shows it. */
export function writePart(heading: string | null, text: string): void {
  const [top = "", ...parts] = readFileSync(PAGE, "utf8").split(/^(?=## )/m);
  const others = parts.filter((part) => heading === null || !part.startsWith(`## ${heading}\n`));
  const page = heading === null ? [text.trimEnd(), ...others] : [top, ...others, `## ${heading}\n\n${text.trimEnd()}`];
  writeFileSync(PAGE, `${page.map((part) => part.trimEnd()).join("\n\n")}\n`);
  Bun.spawnSync([join(TOP, "node_modules/.bin/biome"), "format", "--write", PAGE], { cwd: TOP });
  console.log(text);
}
