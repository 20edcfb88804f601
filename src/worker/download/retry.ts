// Retries after errors that are temporary.
import { log } from "../program/log.ts";
import { NoServerError, TransientError } from "./http.ts";

export interface RetryLimits {
  readonly tries: number;
  readonly firstPauseMs: number;
  /**
   * An attempt that downloaded this much resets the count of tries; with less, a server could prolong a download
   * without a limit.
   */
  readonly progressBytes: number;
}

const LONGEST_PAUSE_MS = 30_000;

/**
 * Returns the delay of a Retry-After header (RFC 9110, 10.2.3): seconds, or a date, relative to the server's own date.
 */
export function retryAfter(headers: Headers, now = Date.now()): number {
  const text = headers.get("retry-after")?.trim() ?? "";
  if (/^\d{1,9}$/.test(text)) return Number(text) * 1000;
  const [until, sent] = [Date.parse(text), Date.parse(headers.get("date") ?? "")];
  return Number.isNaN(until) ? 0 : Math.max(0, until - (Number.isNaN(sent) ? now : sent));
}

/** The file on the server is no longer the one whose beginning was downloaded. */
export class ChangedError extends TransientError {}

/**
 * Whether the received part of a download is kept after this error: only after a failure of the connection. After one
 * of the content, which may be damaged in that part, a later call would fail with the same bytes again; a full disk
 * needs their space; and a changed file is not the one that they are of.
 */
export function mayGoOnLater(error: unknown): boolean {
  return error instanceof TransientError && !(error instanceof ChangedError);
}

/** Repeats `attempt` after temporary errors. Progress in between resets the count of tries. */
export async function persistently<T>(
  limits: RetryLimits,
  attempt: () => Promise<T>,
  position: () => number = () => 0,
): Promise<T> {
  let pauseMs = limits.firstPauseMs;
  for (let tries = 1; ; tries++) {
    const before = position();
    try {
      return await attempt();
    } catch (error) {
      const isFinal = error instanceof ChangedError || error instanceof NoServerError;
      if (!(error instanceof TransientError) || isFinal) throw error;
      if (position() - before >= limits.progressBytes) {
        tries = 1;
        pauseMs = limits.firstPauseMs;
      }
      if (tries >= limits.tries) throw error;
      const waitMs = Math.max(pauseMs, Math.min(error.retryAfterMs, LONGEST_PAUSE_MS));
      log("notice", `${error.message}, trying again in ${Math.ceil(waitMs / 1000)}s.`);
      await Bun.sleep(waitMs);
      pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS);
    }
  }
}
