// The kernel's clocks, in microseconds: clock_gettime(2).
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

/** Returns the time since boot without suspension (CLOCK_MONOTONIC) in µs. */
export function monotonicUsec(): bigint {
  return read(CLOCK_MONOTONIC);
}

/** Returns the wall-clock time since 1970 (CLOCK_REALTIME) in µs. */
export function realtimeUsec(): bigint {
  return read(CLOCK_REALTIME);
}

/** Returns the time since boot including suspension (CLOCK_BOOTTIME) in µs. */
export function bootTimeUsec(): bigint {
  return read(CLOCK_BOOTTIME);
}
