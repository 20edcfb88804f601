// Runs the checks of test/host/smoke one by one in a booted bed. Each depends on those before it.
import { join } from "node:path";
import { TOP } from "./run-tests.ts";

const SMOKE = join(TOP, "test/host/smoke");

/** Returns the names of the checks in their order. */
export function smokeChecks(): readonly string[] {
  return Bun.spawnSync([SMOKE, "--list"]).stdout.toString().trim().split("\n");
}

/** Runs one check; returns "PASS NAME", or "FAIL NAME" and the actual output. */
export async function smoke(bed: string, check: string): Promise<string> {
  const child = Bun.spawn([SMOKE, bed, check], { stdin: "ignore", stdout: "pipe" });
  return (await child.stdout.text()).trim();
}
