// What went wrong while installing, in words for the person at the terminal: what, where, and what to do.

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
  EEXIST: "something else stands there",
  EISDIR: "a directory stands there",
};

/** Returns an error of a file call as a SetupError that names the attempt, and other errors as they are. */
export function explain(attempt: string, error: unknown): unknown {
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  const reason = REASONS[code];
  return reason === undefined ? error : new SetupError(`Cannot ${attempt}: ${reason}`, { cause: error });
}

/** Runs `act`, whose failing file calls throw a SetupError: "Cannot WHAT: reason". */
export function attempt(what: string, act: () => void): void {
  try {
    act();
  } catch (error) {
    throw explain(what, error);
  }
}
