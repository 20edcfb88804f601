// Fuzzes the parsers of untrusted input: npm run fuzz -- [--minutes=N] [--seed=N] [TARGET…]. The targets share the time
// and run in turns. Inputs that cause a failure are written to test/fuzz/corpus/TARGET; all inputs there are run first,
// and by the unit tests. Exits with 1 if a failure was found.
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { mutate, Random } from "./mutate.ts";
import type { Target } from "./target.ts";
import { TARGETS } from "./targets.ts";

const CORPUS = join(import.meta.dir, "corpus");
/** The limit of processor time for one input of at most 1 MiB; a longer time would block other peers. */
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

/** Runs a target on an input; returns a description of the failure, or null. */
export async function attempt(target: Target, bytes: Buffer): Promise<string | null> {
  try {
    // The time is measured again, because a busy machine can make a single run slow.
    if ((await timed(target, bytes)) <= HANG_MS) return null;
    const again = await timed(target, bytes);
    return again > HANG_MS ? `took ${again.toFixed(0)} ms for ${bytes.length} bytes` : null;
  } catch (error) {
    return (error as Error).stack ?? String(error);
  }
}

/** Runs a target on an input; returns the processor time in ms, which does not depend on the load of the machine. */
async function timed(target: Target, bytes: Buffer): Promise<number> {
  const start = process.cpuUsage();
  await target.run(bytes);
  const { user, system } = process.cpuUsage(start);
  return (user + system) / 1000;
}

/** Returns the inputs that have caused failures of a target. */
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

  /** Runs the seeds and the corpus without mutations. */
  async known(): Promise<void> {
    for (const bytes of this.#seeds) await this.#try(bytes);
  }

  /** Runs mutated inputs until a time. */
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

/** A target is not run any more after this many failures, which usually have one cause. */
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
