// The kernel's clocks in microseconds: clock_gettime(2).
import { pinForever } from "./mem.ts";
import { sys } from "./sys.ts";

const CLOCK_REALTIME = 0;
const CLOCK_MONOTONIC = 1;
const CLOCK_BOOTTIME = 7;

// struct timespec { long tv_sec; long tv_nsec; }
const timespec = pinForever(16);

function read(clock: number): bigint {
  sys("clock_gettime", clock, timespec);
  return timespec.view.getBigInt64(0, true) * 1_000_000n + timespec.view.getBigInt64(8, true) / 1000n;
}

/** Time since boot without suspension; never goes back. */
export function monotonicUsec(): bigint {
  return read(CLOCK_MONOTONIC);
}

/** Time since 1970, as the wall clock has it. */
export function realtimeUsec(): bigint {
  return read(CLOCK_REALTIME);
}

/** Time since boot including suspension. */
export function bootTimeUsec(): bigint {
  return read(CLOCK_BOOTTIME);
}
