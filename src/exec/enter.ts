// Prepares a command inside a machine: the arguments of machined-enter (src/exec/enter) and the command's environment.

import { ErrnoError } from "../base/error.ts";
import { cgroupHierarchies } from "../kernel/cgroup/mount.ts";
import type { WindowSize } from "../kernel/terminal/pty.ts";
import { type Account, type AccountRequest, accountOf, outerId } from "./account.ts";
import { whileRunning } from "./ended.ts";

export interface EnterRequest extends AccountRequest {
  /** The working directory; null for the user's home, or "/" where there is none. */
  readonly directory: string | null;
  /** Assignments NAME=VALUE, added to the clean environment. */
  readonly environment: readonly string[];
  readonly command: readonly string[];
  /**
   * Whether the command has a controlling terminal: `given` as descriptor 0, or `own`, a new one whose master is sent
   * through descriptor 0 (terminal.ts).
   */
  readonly terminal: "none" | "given" | "own";
  /** The initial size of an `own` terminal; null where it is not known. */
  readonly terminalSize: WindowSize | null;
  /** The time limit of the command; 0 for none. */
  readonly timeoutMs: number;
  /** Print the process id and cgroup of the command, and leave it running. */
  readonly detach: boolean;
  /** Print what the command could not inherit from the leader. */
  readonly verbose: boolean;
  /** The user who calls, for the journal. */
  readonly callerUid: number;
}

/** The call of machined-enter. */
interface EnterCommand {
  /** The UID of this host to which the command's user is mapped; null where it is not mapped. */
  readonly outerUid: number | null;
  readonly args: readonly string[];
  /** Each assignment has a leading "=", so that machined-enter and its C library ignore the variables. */
  readonly environment: readonly string[];
}

const PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** Throws an ErrnoError `EINVAL` where parts of the request contradict each other. */
export function requireAgreement({ detach, terminal, timeoutMs, machine }: EnterRequest): void {
  if (timeoutMs < 0) throw new ErrnoError("EINVAL", `A time limit of ${timeoutMs} ms is negative`);
  if (!detach || (terminal === "none" && timeoutMs === 0)) return;
  const option = terminal !== "none" ? "a terminal" : "a time limit";
  throw new ErrnoError(
    "EINVAL",
    `A command that is left running in machine '${machine}' cannot have ${option}: no process stays to manage it`,
  );
}

/** Inheritable descriptors, which machined-enter has under the same numbers. */
interface EnterDescriptors {
  /** The leader's pidfd. */
  readonly pidfd: number;
  /**
   * A descriptor that machined-enter keeps open while it runs or hangs, and the command does not get; null for none.
   */
  readonly held: number | null;
}

/**
 * Returns how to call machined-enter for a request. Throws an ErrnoError where the leader has ended (`ESRCH`), those of
 * `requireAgreement()`, and, without `account`, of `accountOf()`.
 */
export function enterCommand(
  request: EnterRequest,
  { pidfd, held }: EnterDescriptors,
  account?: Account,
): EnterCommand {
  const { leader, machine } = request;
  requireAgreement(request);
  return whileRunning(machine, leader, () => {
    const { uid, gid, groups, entry } = account ?? accountOf(request);
    const home = entry?.home.startsWith("/") ? entry.home : null;
    const words: Record<string, string | number | null> = {
      leader: leader.pid,
      pidfd,
      held,
      machine,
      user: entry?.name ?? String(uid),
      caller: request.callerUid,
      uid,
      gid,
      groups: groups.length === 0 ? null : groups.join(","),
      dir: request.directory,
      home,
      tty: request.terminal === "none" ? null : 1,
      timeout: request.timeoutMs > 0 ? Math.ceil(request.timeoutMs) : null,
      detach: request.detach ? 1 : null,
      verbose: request.verbose ? 1 : null,
    };
    const given = Object.entries(words).filter(([, value]) => value !== null);
    const mounts = cgroupHierarchies().map(({ controllers, mount }) => `mount=${controllers}:${mount}`);
    const variables = new Map([
      ["PATH", PATH],
      ["HOME", home ?? "/"],
      ["USER", entry?.name ?? String(uid)],
      ["LOGNAME", entry?.name ?? String(uid)],
      ["SHELL", entry?.shell || "/bin/sh"],
    ]);
    for (const assignment of request.environment) {
      const equals = assignment.indexOf("=");
      variables.set(assignment.slice(0, equals), assignment.slice(equals + 1));
    }
    return {
      outerUid: outerId(leader, "uid", uid),
      args: ["machined-enter", ...given.map(([key, value]) => `${key}=${value}`), ...mounts, "--", ...request.command],
      environment: [...variables].map(([name, value]) => `=${name}=${value}`),
    };
  });
}
