// `machinectl copy-to` and `copy-from`: copies files between this host and a machine (machinectl(1), "copy-to").

import { unlessNoFile } from "../../base/absence.ts";
import { ERRORS } from "../../base/error.ts";
import { pathOf } from "../../kernel/file/attributes.ts";
import { openPath } from "../../kernel/file/fd.ts";
import { startPolkitAgent } from "../session/agents.ts";
import { failed, isBusFailure } from "../session/failure.ts";
import type { Session } from "../session/session.ts";

/** The largest timeout, 24 days: the duration of a copy depends on the files. */
const NO_TIMEOUT = { timeoutMs: 0x7fff_ffff };
/** The flag of CopyToMachineWithFlags() that replaces existing files. */
const REPLACE = 1n;

/** One copy between this host and a machine. */
export interface CopyOrder {
  readonly machine: string;
  readonly direction: "to" | "from";
  /** The path on this host, source or destination, is absolute. */
  readonly source: string;
  readonly destination: string;
}

/** Parses the words of `copy-to` and `copy-from`. Without a second path, the first one is used on both sides. */
export function copyOrder(
  direction: "to" | "from",
  [machine = "", path = "", other = path]: readonly string[],
): CopyOrder {
  return direction === "to"
    ? { machine, direction, source: hostPath(path), destination: other }
    : { machine, direction, source: path, destination: hostPath(other) };
}

/** Returns the beginning of the error message of a failed copy. */
export function attemptedCopy({ machine, direction, source, destination }: CopyOrder): string {
  return direction === "to"
    ? `Failed to copy '${source}' to '${destination}' in machine '${machine}'`
    : `Failed to copy '${source}' in machine '${machine}' to '${destination}'`;
}

/** Copies by a call of the manager. Throws a Failure. */
export async function copyByManager(session: Session, order: CopyOrder): Promise<void> {
  const { machine: name, direction, source, destination } = order;
  const member = direction === "to" ? "CopyToMachine" : "CopyFromMachine";
  const args = { name, source, destination };
  await startPolkitAgent(session);
  try {
    if (session.settings.force) {
      await session.manager(`${member}WithFlags` as const, { ...args, flags: REPLACE }, NO_TIMEOUT);
    } else await session.manager(member, args, NO_TIMEOUT);
  } catch (error) {
    const isTaken = isBusFailure(error, ERRORS.FileExists.bus) && !session.settings.force;
    throw failed(attemptedCopy(order), error, isTaken ? "With --force, existing files are replaced." : undefined);
  }
}

/**
 * Makes a path of this host absolute. `.` and `..` are resolved here, because the manager refuses them; symbolic links
 * before them are followed, as the kernel does.
 */
function hostPath(path: string): string {
  const absolute = path.startsWith("/") ? path : `${workingDirectory()}/${path}`;
  if (!/\/(\.{0,2})(\/|$)/.test(absolute.replace(/\/$/, ""))) return absolute;
  const { basename, dirname, join } = process.getBuiltinModule("node:path");
  const whole = absolute.replace(/\/+$/, "") || "/";
  const name = basename(whole);
  if (name === "." || name === "..") return real(whole);
  return join(real(dirname(whole)), name);
}

/** Returns the working directory. Throws a Failure where that has been removed. */
function workingDirectory(): string {
  try {
    return process.cwd();
  } catch (error) {
    throw failed("Failed to make path absolute", error);
  }
}

/** Resolves a path by opening it with O_PATH, because resolve() does not follow symbolic links before `..`. */
function real(path: string): string {
  return unlessNoFile(() => {
    using place = openPath(path, "path");
    return pathOf(place);
  }, process.getBuiltinModule("node:path").resolve(path));
}
