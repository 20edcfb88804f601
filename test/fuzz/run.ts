// Fuzzes the parsers of what strangers send: npm run fuzz -- [--minutes=N] [--seed=N] [TARGET…]. The time is for all
// targets together, which take turns. Inputs that ever broke one are kept in test/fuzz/corpus/TARGET, are run first here
// and by the unit tests; a new one is written there. Exit code 1 when one was found.
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { mutate, Random } from "./mutate.ts";
import type { Target } from "./target.ts";
import { TARGETS } from "./targets.ts";

const CORPUS = join(import.meta.dir, "corpus");
/** An input of at most a mebibyte that takes longer than this is a hang for whoever waits behind it. */
const HANG_MS = 1_000;

const options = new Map(
  process.argv.slice(2).flatMap((arg) => {
    const [, key, value] = /^--(\w+)=(\d+(?:\.\d+)?)$/.exec(arg) ?? [];
    return key === undefined ? [] : [[key, Number(value)] as const];
  }),
);
const names = process.argv.slice(2).filter((arg) => !arg.startsWith("--"));
const minutes = options.get("minutes") ?? 10;
const seed = options.get("seed") ?? Date.now();

/** What an input did to the parser, or null. */
export async function attempt(target: Target, bytes: Buffer): Promise<string | null> {
  try {
    // A busy machine can hold up any run, but not the same one twice.
    if ((await timed(target, bytes)) <= HANG_MS) return null;
    const again = await timed(target, bytes);
    return again > HANG_MS ? `took ${again.toFixed(0)} ms for ${bytes.length} bytes` : null;
  } catch (error) {
    return (error as Error).stack ?? String(error);
  }
}

/** Processor time, which others do not use up. */
async function timed(target: Target, bytes: Buffer): Promise<number> {
  const start = process.cpuUsage();
  await target.run(bytes);
  const { user, system } = process.cpuUsage(start);
  return (user + system) / 1000;
}

/** Inputs that once broke the target. */
export function corpusOf(name: string): Buffer[] {
  const directory = join(CORPUS, name);
  return existsSync(directory) ? readdirSync(directory).map((file) => readFileSync(join(directory, file))) : [];
}

/** One target with its share of the time. */
class Run {
  readonly #name: string;
  readonly #target: Target;
  readonly #random = new Random(seed);
  readonly #seeds: Buffer[];
  inputs = 0;
  found = 0;

  constructor(name: string, target: Target) {
    this.#name = name;
    this.#target = target;
    this.#seeds = [...target.seeds, ...corpusOf(name)];
  }

  /** The seeds and the corpus as they are. */
  async known(): Promise<void> {
    for (const bytes of this.#seeds) await this.#try(bytes);
  }

  async turn(untilMs: number): Promise<void> {
    while (performance.now() < untilMs && this.found < FOUND_LIMIT) await this.#try(mutate(this.#seeds, this.#random));
  }

  async #try(bytes: Buffer): Promise<void> {
    this.inputs++;
    const failure = await attempt(this.#target, bytes);
    if (failure === null) return;
    this.found++;
    mkdirSync(join(CORPUS, this.#name), { recursive: true });
    const file = join(CORPUS, this.#name, Bun.hash(bytes).toString(16));
    writeFileSync(file, bytes);
    console.log(`${this.#name}: ${file}\n${failure}`);
  }

  report(): void {
    console.log(`${this.#name}: ${this.inputs} inputs, ${this.found} failures (seed ${seed})`);
  }
}

/** Of one target: more say the same. */
const FOUND_LIMIT = 5;
const TURN_MS = 500;

if (import.meta.main) {
  const runs = Object.entries(TARGETS)
    .filter(([name]) => names.length === 0 || names.includes(name))
    .map(([name, target]) => new Run(name, target));
  const end = performance.now() + minutes * 60_000;
  for (const run of runs) await run.known();
  while (performance.now() < end) {
    for (const run of runs) await run.turn(Math.min(end, performance.now() + TURN_MS));
  }
  for (const run of runs) run.report();
  process.exit(runs.some(({ found }) => found > 0) ? 1 : 0);
}
