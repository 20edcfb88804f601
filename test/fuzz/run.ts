// Fuzzes the parsers that face a peer: bun test/fuzz/run.ts [--seconds=N] [--seed=N] [TARGET…]. Inputs that ever broke one
// are kept in test/fuzz/corpus/TARGET and are run first; a new one is written there. Exit code 1 when one was found.
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { mutate, Random } from "./mutate.ts";
import { TARGETS, type Target } from "./targets.ts";

const CORPUS = join(import.meta.dir, "corpus");
/** An input of at most a mebibyte that takes longer than this is a hang for whoever waits behind it. */
const HANG_MS = 1_000;

const options = new Map(
  process.argv.slice(2).flatMap((arg) => {
    const [, key, value] = /^--(\w+)=(\d+)$/.exec(arg) ?? [];
    return key === undefined ? [] : [[key, Number(value)] as const];
  }),
);
const names = process.argv.slice(2).filter((arg) => !arg.startsWith("--"));
const seconds = options.get("seconds") ?? 10;
const seed = options.get("seed") ?? Date.now();

/** What an input did to the parser, or null. */
export function attempt(target: Target, bytes: Buffer): string | null {
  try {
    // A busy machine can hold up any run, but not the same one twice.
    if (timed(target, bytes) <= HANG_MS) return null;
    const again = timed(target, bytes);
    return again > HANG_MS ? `took ${again.toFixed(0)} ms for ${bytes.length} bytes` : null;
  } catch (error) {
    return (error as Error).stack ?? String(error);
  }
}

function timed(target: Target, bytes: Buffer): number {
  const start = performance.now();
  target.run(bytes);
  return performance.now() - start;
}

/** Inputs that once broke the target. */
export function corpusOf(name: string): Buffer[] {
  const directory = join(CORPUS, name);
  return existsSync(directory) ? readdirSync(directory).map((file) => readFileSync(join(directory, file))) : [];
}

function fuzz(name: string, target: Target): number {
  const random = new Random(seed);
  const seeds = [...target.seeds, ...corpusOf(name)];
  let inputs = 0;
  let found = 0;
  for (const end = Date.now() + seconds * 1000; Date.now() < end && found < 5; inputs++) {
    const bytes = mutate(seeds, random);
    const failure = attempt(target, bytes);
    if (failure === null) continue;
    found++;
    mkdirSync(join(CORPUS, name), { recursive: true });
    const file = join(CORPUS, name, Bun.hash(bytes).toString(16));
    writeFileSync(file, bytes);
    console.log(`${name}: ${file}\n${failure}`);
  }
  console.log(`${name}: ${inputs} inputs in ${seconds} s, ${found} failures (seed ${seed})`);
  return found;
}

if (import.meta.main) {
  let failures = 0;
  for (const [name, target] of Object.entries(TARGETS)) {
    if (names.length === 0 || names.includes(name)) failures += fuzz(name, target);
  }
  process.exit(failures > 0 ? 1 : 0);
}
