// Runs code in this process while it can open no file: by a lower limit, and by opened files up to it.
import { closeSync, openSync, readdirSync } from "node:fs";
import { pinForever } from "../../src/kernel/syscall/mem.ts";
import { sys } from "../../src/kernel/syscall/sys.ts";

/** Room for descriptors that the engine opens while the limit is set. */
const ROOM = 64;

const RLIMIT_NOFILE = 7;
// struct rlimit64 { 0 u64 rlim_cur; 8 u64 rlim_max; }
const limit = pinForever(16);

/**
 * Sets the number of descriptors that this process may have; returns the one before. The program prlimit is not used:
 * threads of the engine close the pipes of a program only after it has ended, when all descriptors are taken already.
 */
function limitDescriptors(count: bigint): bigint {
  sys("prlimit64", 0, RLIMIT_NOFILE, 0, limit);
  const before = limit.view.getBigUint64(0, true);
  limit.view.setBigUint64(0, count, true);
  sys("prlimit64", 0, RLIMIT_NOFILE, limit, 0);
  return before;
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
  const highest = Math.max(...readdirSync("/proc/self/fd").map(Number));
  const before = limitDescriptors(BigInt(highest + ROOM));
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
    limitDescriptors(before);
  }
}
