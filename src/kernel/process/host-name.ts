// The host name in the UTS namespace of a process: uts_namespaces(7).
import { readFileSync } from "node:fs";
import type { Fd } from "../file/fd.ts";
import { check, isErrno, trySys } from "../syscall/sys.ts";
import { abortProcess, openNamespace } from "./namespace.ts";
import type { PidRef } from "./pidref.ts";

const CLONE_NEWUTS = 0x04000000;

let own: Fd | null = null;

function readHostName(): string {
  return readFileSync("/proc/sys/kernel/hostname", "utf8").trimEnd();
}

/**
 * Returns the host name in the UTS namespace of a process; null where we may not enter it or the process has ended.
 * This thread enters the namespace to read it; if it cannot return, this process aborts.
 */
export function hostNameOf(process: PidRef): string | null {
  own ??= openNamespace("self", "uts");
  // Without capabilities over our own namespace we could not return: tested here, by entering our own.
  if (trySys("setns", own.number, CLONE_NEWUTS) < 0) return null;
  try {
    using target = process.verified(() => openNamespace(process.pid, "uts"));
    check(trySys("setns", target.number, CLONE_NEWUTS), "setns");
  } catch (error) {
    if (isErrno(error, "EPERM", "EACCES", "ESRCH", "ENOENT")) return null;
    throw error;
  }
  try {
    return readHostName();
  } finally {
    if (trySys("setns", own.number, CLONE_NEWUTS) < 0) abortProcess("Cannot return to our own UTS namespace");
  }
}
