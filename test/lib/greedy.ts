// Greedy peers (greedy.py) against a daemon, with the daemon's resources and the patience of another caller measured before,
// meanwhile and after.
import { expect } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { havePrograms } from "./programs.ts";
import { waitFor } from "./wait-for.ts";

const SCRIPT = join(import.meta.dir, "greedy.py");

export const hasPython = havePrograms("greedy peers", "python3");
export const NOBODY = 65534;

export interface Attack {
  readonly attack: string;
  readonly socket: string;
  readonly count: number;
  readonly word?: string;
  readonly uid?: number;
}

/** A peer that is under way, or has got what it can and holds on to it. */
export class GreedyPeer implements AsyncDisposable {
  readonly #process: Bun.Subprocess<"pipe", "pipe", "inherit">;
  /** It has sent all that it can. */
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

export function resourcesOf(pid: number): Resources {
  const status = readFileSync(`/proc/${pid}/status`, "latin1");
  const [, kib] = /^RssAnon:\s+(\d+) kB$/m.exec(status) ?? [];
  const tasks = readdirSync(`/proc/${pid}/task`);
  const children = tasks.flatMap((task) => childrenOf(pid, task));
  return {
    descriptors: readdirSync(`/proc/${pid}/fd`).length,
    children: children.length,
    memoryMib: Number(kib) / 1024,
  };
}

function childrenOf(pid: number, task: string): string[] {
  const list = readFileSync(`/proc/${pid}/task/${task}/children`, "latin1").trim();
  return list === "" ? [] : list.split(" ");
}

/** How long each of some calls takes, in the middle and at worst, in milliseconds. */
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

/** What peers may cost meanwhile, and what compiled code and an untidy heap may keep. */
const MEANWHILE_MIB = 150;
const AFTERWARDS_MIB = 24;
/** Answered within this, or within some times of what it takes when nobody else calls: machines differ. */
const PATIENCE_MS = 100;
const PATIENCE_TIMES = 20;
const RECOVERY_MS = 30_000;

interface Ordeal {
  readonly pid: number;
  /** Another caller's call. */
  ask(): Promise<unknown>;
  /** Descriptors that the attackers may hold as connections. */
  readonly connections: number;
  /** Begins; disposing of the result ends it; it has got all that it can get when `ready` is fulfilled. */
  begin(): AsyncDisposable & { readonly ready: Promise<void> };
  /** Looked at while it goes on. */
  meanwhile?(): Promise<void>;
}

/** Others are answered while it goes on, at little cost, and afterwards the daemon has what it had before. */
export async function survives({ pid, ask, connections, begin, meanwhile }: Ordeal): Promise<void> {
  const alone = await latencyMs(ask);
  const before = resourcesOf(pid);
  {
    await using attack = begin();
    const early = await latencyMs(ask);
    await attack.ready;
    const late = await latencyMs(ask);
    const most = Math.max(PATIENCE_MS, PATIENCE_TIMES * alone.median);
    expect(Math.max(early.median, late.median)).toBeLessThan(most);
    const now = resourcesOf(pid);
    expect(now.memoryMib - before.memoryMib).toBeLessThan(MEANWHILE_MIB);
    expect(now.descriptors - before.descriptors).toBeLessThan(connections + 8);
    await meanwhile?.();
  }
  await waitFor(
    () => {
      const { descriptors, children, memoryMib } = resourcesOf(pid);
      expect(children).toBe(before.children);
      expect(descriptors).toBeLessThanOrEqual(before.descriptors);
      expect(memoryMib - before.memoryMib).toBeLessThan(AFTERWARDS_MIB);
    },
    "the daemon to be as it was before",
    RECOVERY_MS,
  );
}
