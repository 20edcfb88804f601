// The everyday checks of test/host/smoke, run one by one in a booted bed; they build on each other.
import { join } from "node:path";
import { TOP } from "./run-tests.ts";

const SMOKE = join(TOP, "test/host/smoke");

/** The names of the checks, in their order. */
export function smokeChecks(): readonly string[] {
  return Bun.spawnSync([SMOKE, "--list"]).stdout.toString().trim().split("\n");
}

/** Runs one check; returns "PASS NAME", or "FAIL NAME" with what came instead. */
export async function smoke(bed: string, check: string): Promise<string> {
  const child = Bun.spawn([SMOKE, bed, check], { stdin: "ignore", stdout: "pipe" });
  return (await child.stdout.text()).trim();
}
