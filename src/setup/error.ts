// The error of `machined install` and `uninstall` that is printed to the user: what failed, on what, why, and what
// helps.

import { errnoNameOf } from "../base/error.ts";

/** An error whose message is printed without a stack trace. */
export class SetupError extends Error {
  override readonly name = "SetupError";
}

const REASONS: Readonly<Record<string, string>> = {
  EROFS: "the file system is read-only",
  ENOSPC: "no space is left on the file system",
  EDQUOT: "the disk quota is used up",
  EACCES: "permission denied",
  EPERM: "not permitted (is the file immutable?)",
  ENOTDIR: "a part of the path is not a directory",
  EEXIST: "another file of this name exists",
  EISDIR: "it is a directory",
  EIO: "the disk reports an input/output error (see dmesg)",
  ENOTCONN: "the program that serves its file system has ended (unmount it)",
  EMFILE: "no descriptor is free in this process",
  ENFILE: "no descriptor is free on this host",
};

/**
 * Converts an error of node:fs with a known code to the SetupError `Cannot ATTEMPT: REASON`; returns other errors
 * unchanged.
 */
export function explain(attempt: string, error: unknown): unknown {
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  const reason = REASONS[code];
  return reason === undefined ? error : new SetupError(`Cannot ${attempt}: ${reason}`, { cause: error });
}

/** Runs `act`; its errors are converted by explain(). */
export function attempt(what: string, act: () => void): void {
  try {
    act();
  } catch (error) {
    throw explain(what, error);
  }
}

/** Whether an error, also one that explain() has converted, says that a disk is full. */
export function isDiskFull(error: unknown): boolean {
  const errno = errnoNameOf(error instanceof SetupError ? error.cause : error);
  return errno === "ENOSPC" || errno === "EDQUOT";
}
