import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { bootTimeUsec, monotonicUsec, realtimeUsec } from "../../../src/kernel/syscall/time.ts";
import { MANY } from "../support.ts";

test("the clocks agree with those of Node and /proc/uptime, and never go back", () => {
  const tickUsec = 10_000; // /proc/uptime has hundredths of a second, Date.now() whole milliseconds
  const uptimeUsec = () => Number(readFileSync("/proc/uptime", "utf8").split(" ")[0]) * 1e6;
  for (const [ours, theirs] of [
    [realtimeUsec, () => Date.now() * 1000],
    [bootTimeUsec, uptimeUsec],
  ] as const) {
    const [before, between, after] = [theirs(), Number(ours()), theirs()];
    expect(between).toBeGreaterThanOrEqual(before - tickUsec);
    expect(between).toBeLessThanOrEqual(after + tickUsec);
  }
  const monotonic = monotonicUsec();
  expect(bootTimeUsec()).toBeGreaterThanOrEqual(monotonic);
  let last = monotonicUsec();
  for (let i = 0; i < MANY; i++) {
    const now = monotonicUsec();
    if (now < last) throw new Error(`went back at ${i}`);
    last = now;
  }
});
