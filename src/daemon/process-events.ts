// What reaches the process of a daemon from outside of any call: signals, and errors that nobody caught.
import { hostFaultOf } from "../base/error.ts";
import type { DaemonLog } from "./log.ts";

/** Logs an unexpected error. A fault of the host (no memory, a full disk) is no bug: its stack would help nobody. */
export function logUnexpected(log: DaemonLog, error: unknown, where: string): void {
  if (hostFaultOf(error) !== null) log.error(`Failed in ${where}: ${(error as Error).message}`);
  else log.error(`Bug in ${where}: ${(error as Error).stack ?? error}`);
}

/** Calls `terminate` for SIGTERM and SIGINT. Uncaught errors are logged, and do not end the daemon: others depend on it. */
export function handleProcessEvents(log: DaemonLog, terminate: () => void): void {
  process.on("uncaughtException", (error) => logUnexpected(log, error, "a callback"));
  process.on("unhandledRejection", (error) => logUnexpected(log, error, "a promise"));
  for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, terminate);
}
