// Runs greedy peers (greedy.py) against a daemon, and measures the daemon's resources and the latency of another
// caller's calls before, during and after the attack.
import { expect } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expectNothingLeft, openDescriptors } from "./descriptors.ts";
import { havePrograms } from "./programs.ts";
import { waitFor } from "./wait-for.ts";

const SCRIPT = join(import.meta.dir, "greedy.py");

export const hasPython = havePrograms("greedy peers", "python3");
export const NOBODY = 65534;

/** The parameters of greedy.py. */
export interface Attack {
  readonly attack: string;
  readonly socket: string;
  readonly count: number;
  readonly word?: string;
  readonly uid?: number;
}

/** A running greedy peer; disposing of it kills it. */
export class GreedyPeer implements AsyncDisposable {
  readonly #process: Bun.Subprocess<"pipe", "pipe", "inherit">;
  /** Resolves when the peer has sent everything that it can send. */
  readonly ready: Promise<void>;

  constructor({ attack, socket, count, word = "", uid = NOBODY }: Attack) {
    const command = ["python3", SCRIPT, String(uid), attack, socket, String(count), word];
    this.#process = Bun.spawn(command, { stdin: "pipe", stdout: "pipe", stderr: "inherit" });
    this.ready = this.#saysReady();
  }

  async #saysReady(): Promise<void> {
    const reader = this.#process.stdout.getReader();
    const { value } = await reader.read();
    if (
      !Buffer.from(value ?? [])
        .toString()
        .startsWith("ready")
    )
      throw new Error("The greedy peer failed");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#process.kill("SIGKILL");
    await this.#process.exited;
  }
}

interface Resources {
  readonly descriptors: number;
  readonly children: number;
  readonly memoryMib: number;
}

/** Reads the resources of a process from /proc. */
export function resourcesOf(pid: number): Resources {
  const status = readFileSync(`/proc/${pid}/status`, "latin1");
  const [, kib] = /^RssAnon:\s+(\d+) kB$/m.exec(status) ?? [];
  const tasks = readdirSync(`/proc/${pid}/task`);
  const children = tasks.flatMap((task) => childrenOf(pid, task));
  return {
    descriptors: openDescriptors(pid),
    children: children.length,
    memoryMib: Number(kib) / 1024,
  };
}

function childrenOf(pid: number, task: string): string[] {
  const list = readFileSync(`/proc/${pid}/task/${task}/children`, "latin1").trim();
  return list === "" ? [] : list.split(" ");
}

/** Makes `count` calls one after the other; returns the median and the largest of their durations in milliseconds. */
export async function latencyMs(call: () => Promise<unknown>, count = 21): Promise<{ median: number; worst: number }> {
  const times: number[] = [];
  for (let i = 0; i < count; i++) {
    const start = performance.now();
    await call();
    times.push(performance.now() - start);
  }
  times.sort((a, b) => a - b);
  return { median: times[count >> 1] as number, worst: times.at(-1) as number };
}

/**
 * How much the daemon's memory may grow during an attack, and after it, for compiled code and fragmentation of the
 * heap.
 */
const MEANWHILE_MIB = 150;
const AFTERWARDS_MIB = 24;
/** Limits of the latency during an attack: the larger of a time and a multiple of the latency without an attack. */
const LATENCY_LIMIT_MS = 100;
const LATENCY_FACTOR = 20;
const RECOVERY_MS = 30_000;

interface Ordeal {
  /** The process number of the daemon. */
  readonly pid: number;
  /** A call of another caller, whose latency is measured. */
  ask(): Promise<unknown>;
  /** The number of connections that the daemon may accept from the attackers. */
  readonly connections: number;
  /**
   * Begins the attack; disposing of the result ends it. `ready` resolves when the attackers have sent everything they
   * can.
   */
  begin(): AsyncDisposable & { readonly ready: Promise<void> };
  /** Further checks during the attack. */
  meanwhile?(): Promise<void>;
}

/**
 * Fails unless, during the attack, other callers are answered in time and the daemon's resources stay within the
 * limits, and the daemon releases these resources after the attack.
 */
export async function survives(ordeal: Ordeal): Promise<void> {
  try {
    await endure(ordeal);
  } catch (error) {
    if (!(error instanceof SuppressedError)) throw error;
    // Its own text names neither of the two.
    throw new AggregateError([error.suppressed, error.error], `${error.suppressed}; at the end: ${error.error}`);
  }
}

async function endure({ pid, ask, connections, begin, meanwhile }: Ordeal): Promise<void> {
  const alone = await latencyMs(ask);
  const before = resourcesOf(pid);
  {
    await using attack = begin();
    const early = await latencyMs(ask);
    await attack.ready;
    const late = await latencyMs(ask);
    const most = Math.max(LATENCY_LIMIT_MS, LATENCY_FACTOR * alone.median);
    expect(Math.max(early.median, late.median)).toBeLessThan(most);
    const now = resourcesOf(pid);
    expect(now.memoryMib - before.memoryMib).toBeLessThan(MEANWHILE_MIB);
    expect(now.descriptors - before.descriptors).toBeLessThan(connections + 8);
    await meanwhile?.();
  }
  await waitFor(
    () => {
      const { children, memoryMib } = resourcesOf(pid);
      expect(children).toBe(before.children);
      expectNothingLeft(before.descriptors, pid);
      expect(memoryMib - before.memoryMib).toBeLessThan(AFTERWARDS_MIB);
    },
    "the daemon to be as it was before",
    RECOVERY_MS,
  );
}
