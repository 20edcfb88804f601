// Gathers facts, each with a time limit, so that a bus, a daemon or a file system that does not answer makes only its
// own checks unknown.
import { selfCommand } from "../../kernel/process/spawn.ts";
import { reasonOf } from "../session/failure.ts";
import type { Learned } from "./finding.ts";

/** The time limit of one fact. All are gathered at the same time. */
export const LIMIT_MS = 5000;

type Fact<Value> = { readonly value: Value } | { readonly reason: string; readonly isLate?: true };

function lateText(limitMs: number): string {
  return `no answer in ${limitMs / 1000} seconds`;
}

/**
 * Returns the result of `work`, or the reason why it failed; `isLate` if it took longer than the limit. Never rejects.
 */
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

/** Gathers several facts at the same time: calls each function of `ways`. */
export async function learnAll<Facts>(ways: { readonly [Key in keyof Facts]: () => Facts[Key] | Promise<Facts[Key]> }) {
  const keys = Object.keys(ways) as (keyof Facts)[];
  const facts = await Promise.all(keys.map(async (key) => [key, await learn(ways[key])] as const));
  return Object.fromEntries(facts) as unknown as Learned<Facts>; // has all keys
}

interface ProgramResult {
  readonly code: number;
  readonly output: string;
}

const OUTPUT_LIMIT_BYTES = 1 << 20;

/**
 * Runs a program with empty input to its end; returns its exit status and standard output. After LIMIT_MS it is killed;
 * a process that is blocked in the kernel does not end then, which the limit of learn() covers.
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

/** Runs a verb of machinectl in another process of this executable. */
export function runOwnVerb(args: readonly string[]): Promise<ProgramResult> {
  const { command, argv0 } = selfCommand("machinectl", args);
  return runProgram(command, { argv0 });
}
