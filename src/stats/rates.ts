// Rates of a machine's usage: the differences of two readings, divided by the time between them.
import type { Usage } from "./meter.ts";

/** Counters of a machine at one moment of the monotonic clock. */
export interface Reading {
  readonly atUsec: number;
  readonly usage: Usage;
}

/**
 * The values that `stats` and `top` show of a machine. Rates are per second; null where a value is not known, or not
 * yet.
 */
export interface Stats {
  readonly machine: string;
  readonly cpuPercent: number | null;
  readonly cpuUsec: number | null;
  readonly memoryBytes: number | null;
  readonly memoryLimitBytes: number | null;
  readonly swapBytes: number | null;
  readonly tasks: number | null;
  readonly readBytesPerSecond: number | null;
  readonly writtenBytesPerSecond: number | null;
  readonly receivedBytesPerSecond: number | null;
  readonly sentBytesPerSecond: number | null;
  readonly cpuPressure: number | null;
  readonly memoryPressure: number | null;
  readonly ioPressure: number | null;
}

/**
 * Returns the usage of a machine at a reading, with its rates since the last one; without a last reading the rates are
 * null.
 */
export function statsOf(machine: string, now: Reading, last: Reading | null): Stats {
  const { usage } = now;
  const before = last?.usage;
  const seconds = last === null ? 0 : (now.atUsec - last.atUsec) / 1e6;
  const rate = (value: number | null, earlier: number | null | undefined) =>
    value === null || earlier === null || earlier === undefined || seconds <= 0
      ? null
      : Math.max((value - earlier) / seconds, 0);
  const busy = rate(usage.cpuUsec, before?.cpuUsec);
  return {
    machine,
    cpuPercent: busy === null ? null : busy / 1e4,
    cpuUsec: usage.cpuUsec,
    memoryBytes: usage.memoryBytes,
    memoryLimitBytes: usage.memoryLimitBytes,
    swapBytes: usage.swapBytes,
    tasks: usage.tasks,
    readBytesPerSecond: rate(usage.readBytes, before?.readBytes),
    writtenBytesPerSecond: rate(usage.writtenBytes, before?.writtenBytes),
    receivedBytesPerSecond: rate(usage.receivedBytes, before?.receivedBytes),
    sentBytesPerSecond: rate(usage.sentBytes, before?.sentBytes),
    cpuPressure: usage.cpuPressure,
    memoryPressure: usage.memoryPressure,
    ioPressure: usage.ioPressure,
  };
}
