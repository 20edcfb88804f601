// Runs code in this process while it can open no file: by a lower limit, and by opened files up to it.
import { closeSync, openSync, readdirSync } from "node:fs";

/** Room for descriptors that the engine opens while the limit is set. */
const ROOM = 64;

function limitDescriptors(limits: string): void {
  const { exitCode, stderr } = Bun.spawnSync(["prlimit", "--pid", String(process.pid), `--nofile=${limits}`]);
  if (exitCode !== 0) throw new Error(`prlimit: ${stderr}`);
}

function currentLimit(): string {
  const options = ["prlimit", "--pid", String(process.pid), "--nofile", "--output=SOFT", "--noheadings", "--raw"];
  return Bun.spawnSync(options).stdout.toString().trim();
}

/** Opens files until no descriptor is free. */
function takeAll(taken: number[]): void {
  try {
    for (;;) taken.push(openSync("/dev/null", "r"));
  } catch {
    // All are taken.
  }
}

/**
 * Calls `act` while all but `left` descriptors are taken; returns what it returns. `act` must be synchronous. It is
 * called again where a thread of the engine has closed a descriptor of its own meanwhile, so that more were free.
 */
export function withoutDescriptors<Result>(act: () => Result, left = 0): Result {
  const before = currentLimit();
  const highest = Math.max(...readdirSync("/proc/self/fd").map(Number));
  limitDescriptors(`${highest + ROOM}:`);
  const taken: number[] = [];
  try {
    for (;;) {
      takeAll(taken);
      for (const fd of taken.splice(0, left)) closeSync(fd);
      const count = taken.length + left;
      try {
        return act();
      } catch (error) {
        takeAll(taken);
        if (taken.length <= count) throw error;
      }
    }
  } finally {
    for (const fd of taken) closeSync(fd);
    limitDescriptors(`${before}:`);
  }
}
