// Counts open descriptors. What a test leaves after shows as growth over many rounds: a total that must match exactly
// fails by chance, since the engine opens and closes descriptors of its own, and other tests of the same process end
// late.
import { expect } from "bun:test";
import { readdirSync, readlinkSync } from "node:fs";

/**
 * The rounds that a test needs at least before expectNothingLeft() can tell a leak of one descriptor for each round.
 */
export const LEAK_ROUNDS = 20;
/** How many descriptors the engine, its threads and other tests may open meanwhile. */
const OTHERS = 8;

/** How many descriptors a process has open, by default this one. */
export function openDescriptors(pid: number | "self" = "self"): number {
  return readdirSync(`/proc/${pid}/fd`).length;
}

/**
 * How many descriptors of a process lead to `target`, a path or a text such as `anon_inode:[pidfd]`; by default of this
 * one. Unlike their number in all it is nobody else's business.
 */
export function descriptorsTo(target: string, pid: number | "self" = "self"): number {
  return readdirSync(`/proc/${pid}/fd`).filter((number) => {
    try {
      return readlinkSync(`/proc/${pid}/fd/${number}`) === target;
    } catch {
      return false; // that of the listing itself, or one that was closed meanwhile
    }
  }).length;
}

/** Fails when LEAK_ROUNDS rounds or more since `before` was counted have left descriptors open in the process. */
export function expectNothingLeft(before: number, pid: number | "self" = "self"): void {
  expect(openDescriptors(pid)).toBeLessThan(before + OTHERS);
}
