// Events of the process: signals, uncaught exceptions and unhandled rejections.
import { hostFaultOf } from "../base/error.ts";
import type { DaemonLog } from "./log.ts";

/** Logs an unexpected error; with its stack, as a bug, unless the host caused it (no memory, a full disk). */
export function logUnexpected(log: DaemonLog, error: unknown, where: string): void {
  if (hostFaultOf(error) !== null) log.error(`Failed in ${where}: ${(error as Error).message}`);
  else log.error(`Bug in ${where}: ${(error as Error).stack ?? error}`);
}

/**
 * Calls `terminate` for SIGTERM and SIGINT. Logs uncaught errors and keeps the daemon running: machines depend on it.
 */
export function handleProcessEvents(log: DaemonLog, terminate: () => void): void {
  process.on("uncaughtException", (error) => logUnexpected(log, error, "a callback"));
  process.on("unhandledRejection", (error) => logUnexpected(log, error, "a promise"));
  for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, terminate);
}
