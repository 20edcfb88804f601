// Statistics over several rounds of a benchmark, and the page to which they are written.
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism, release } from "node:os";
import { join } from "node:path";
import { build } from "../../install/build.ts";
import { prepareBeds, setAside, type Tree } from "../lib/host-suite.ts";
import { TOP } from "../lib/run-tests.ts";

/** Measured values by name. */
export type Figures = Readonly<Record<string, number>>;

/** Returns the value of the argument `--NAME=`, or `otherwise`. */
export function option(args: readonly string[], name: string, otherwise: string): string {
  const word = args.find((one) => one.startsWith(`--${name}=`));
  return word === undefined ? otherwise : word.slice(name.length + 3);
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? (sorted[middle] ?? 0) : ((sorted[middle - 1] ?? 0) + (sorted[middle] ?? 0)) / 2;
}

/** Returns the median of each value over several runs. */
export function medians(runs: readonly Figures[]): Figures {
  const names = Object.keys(runs[0] ?? {});
  return Object.fromEntries(names.map((name) => [name, median(runs.map((run) => run[name] ?? Number.NaN))]));
}

/** Formats a value with three digits. */
export function show(value: number): string {
  return value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2);
}

/** Returns a text that compares this project's value (`own`) with that of the distribution (`theirs`). */
export function verdict(theirs: number, own: number, better: "less" | "more"): string {
  const ratio = better === "less" ? theirs / own : own / theirs;
  return ratio >= 1 ? `${ratio.toFixed(1)} × better` : `${(1 / ratio).toFixed(1)} × worse`;
}

/** Returns a text with kernel, number of processors and date. */
export function whereAndWhen(): string {
  const kernel = release().split(".").slice(0, 2).join(".");
  return `Linux ${kernel}, ${availableParallelism()} processors, ${new Date().toISOString().slice(0, 10)}`;
}

/**
 * Prepares the bed `tree`, builds the executable unless $MACHINED_DIST is set, and calls `work`; returns an exit
 * status.
 */
export async function withExecutable(tree: Tree, work: () => Promise<void>): Promise<number> {
  const reason = await prepareBeds([tree]);
  if (reason !== null) {
    console.error(`Benchmarks cannot run on this host: ${reason}`);
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

/**
 * Replaces the section of docs/benchmarks.md with that heading, or with null the part before all headings; prints it.
 */
export function writePart(heading: string | null, text: string): void {
  const [top = "", ...parts] = readFileSync(PAGE, "utf8").split(/^(?=## )/m);
  const others = parts.filter((part) => heading === null || !part.startsWith(`## ${heading}\n`));
  const page = heading === null ? [text.trimEnd(), ...others] : [top, ...others, `## ${heading}\n\n${text.trimEnd()}`];
  writeFileSync(PAGE, `${page.map((part) => part.trimEnd()).join("\n\n")}\n`);
  Bun.spawnSync([join(TOP, "node_modules/.bin/biome"), "format", "--write", PAGE], { cwd: TOP });
  console.log(text);
}
