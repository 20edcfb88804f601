import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { bootTimeUsec, monotonicUsec, realtimeUsec } from "../../src/kernel/time.ts";
import { MANY } from "./support.ts";

test("the clocks are those of Node and the kernel, and never go back", () => {
  expect(Math.abs(Number(realtimeUsec()) / 1000 - Date.now())).toBeLessThan(1000);
  const uptime = Number(readFileSync("/proc/uptime", "utf8").split(" ")[0]) * 1e6;
  expect(Math.abs(uptime - Number(bootTimeUsec()))).toBeLessThan(1_000_000);
  expect(bootTimeUsec()).toBeGreaterThanOrEqual(monotonicUsec() - 1_000_000n);
  let last = monotonicUsec();
  for (let i = 0; i < MANY; i++) {
    const now = monotonicUsec();
    if (now < last) throw new Error(`went back at ${i}`);
    last = now;
  }
});
