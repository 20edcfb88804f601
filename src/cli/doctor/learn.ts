// Learning a fact within a limit: a bus, a daemon or a file system that does not answer costs its own checks and no others.
import { selfCommand } from "../../kernel/process/spawn.ts";
import { reasonOf } from "../session/failure.ts";
import type { Learned } from "./finding.ts";

/** How long one fact may take. All are learned at the same time. */
export const LIMIT_MS = 5000;

type Fact<Value> = { readonly value: Value } | { readonly reason: string; readonly isLate?: true };

function lateText(limitMs: number): string {
  return `no answer in ${limitMs / 1000} seconds`;
}

/** Returns what `work` does, or why that is not known. */
export async function learn<Value>(
  work: () => Value | Promise<Value>,
  limitMs: number = LIMIT_MS,
): Promise<Fact<Value>> {
  const { promise, resolve } = Promise.withResolvers<Fact<Value>>();
  const timer = setTimeout(() => resolve({ reason: lateText(limitMs), isLate: true }), limitMs);
  const done = (async () => ({ value: await work() }))().catch((error: unknown) => ({ reason: reasonOf(error) }));
  try {
    return await Promise.race([done, promise]);
  } finally {
    clearTimeout(timer);
  }
}

/** Learns several facts at the same time. */
export async function learnAll<Facts>(ways: { readonly [Key in keyof Facts]: () => Facts[Key] | Promise<Facts[Key]> }) {
  const keys = Object.keys(ways) as (keyof Facts)[];
  const facts = await Promise.all(keys.map(async (key) => [key, await learn(ways[key])] as const));
  return Object.fromEntries(facts) as unknown as Learned<Facts>; // one fact for each key
}

interface ProgramResult {
  readonly code: number;
  readonly output: string;
}

const OUTPUT_LIMIT_BYTES = 1 << 20;

/**
 * Runs a program with empty input to its end; returns its exit status and standard output. One that takes longer than a fact
 * may is killed, and not waited for: a process in the kernel does not obey.
 */
export async function runProgram(
  command: readonly string[],
  { argv0 = command[0] ?? "" }: { readonly argv0?: string } = {},
): Promise<ProgramResult> {
  const child = Bun.spawn([...command], {
    argv0,
    stdio: ["ignore", "pipe", "ignore"],
    env: { ...process.env, LC_ALL: "C", SYSTEMD_COLORS: "0", SYSTEMD_PAGER: "" },
    maxBuffer: OUTPUT_LIMIT_BYTES,
  });
  let isLate = false;
  const timer = setTimeout(() => {
    isLate = true;
    child.kill("SIGKILL");
  }, LIMIT_MS);
  try {
    const output = await child.stdout.text();
    const code = await child.exited;
    if (isLate) throw new Error(lateText(LIMIT_MS));
    return { code, output };
  } finally {
    clearTimeout(timer);
  }
}

/** Runs a verb of this very machinectl. */
export function runOwnVerb(args: readonly string[]): Promise<ProgramResult> {
  const { command, argv0 } = selfCommand("machinectl", args);
  return runProgram(command, { argv0 });
}
