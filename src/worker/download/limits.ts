// The limits of one download: sizes, times and retries.
import { HTTP_LIMITS, type HttpLimits } from "./http.ts";
import type { RetryLimits } from "./retry.ts";

interface ParallelLimits {
  /** Smaller files are downloaded on one connection. */
  readonly fromBytes: number;
  /** How much is downloaded on one connection first, to measure its speed. */
  readonly trialBytes: number;
  /** From this rate on one connection is enough. */
  readonly fastBytesPerSecond: number;
  readonly connections: number;
}

const PARALLEL_LIMITS: ParallelLimits = {
  fromBytes: 256 << 20,
  trialBytes: 16 << 20,
  fastBytesPerSecond: 64 << 20,
  connections: 4,
};

export interface JobLimits extends HttpLimits, RetryLimits {
  readonly mainBytes: number;
  readonly sideBytes: number;
  /** How long the body of a small file may take: a server that sends it byte by byte would be waited for hours. */
  readonly sideMs: number;
  /** The maximum size of the content, after decompression. */
  readonly contentBytes: number;
  readonly parallel: ParallelLimits;
}

export const JOB_LIMITS: JobLimits = {
  ...HTTP_LIMITS,
  tries: 7,
  firstPauseMs: 500,
  progressBytes: 64 << 10,
  mainBytes: 64 * 1024 ** 3,
  sideBytes: 1 << 20,
  sideMs: 15 * 60_000,
  contentBytes: 64 * 1024 ** 3,
  parallel: PARALLEL_LIMITS,
};
