// The host name that a process sees: sethostname(2), uts_namespaces(7).
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
 * The host name in the UTS namespace of a process; null where we may not look there. This thread is in that namespace while
 * it reads, and the process aborts when the way back is barred.
 */
export function hostNameOf(process: PidRef): string | null {
  own ??= openNamespace("self", "uts");
  // Without rights over our own namespace there is a way in and none back: found out where nothing can happen yet.
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
    if (trySys("setns", own.number, CLONE_NEWUTS) < 0) abortProcess("Cannot return to the own UTS namespace");
  }
}
