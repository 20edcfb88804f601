// Running a command inside a machine: the arguments of machined-enter (src/exec/enter), and the environment of the command.
import { ErrnoError } from "../base/error.ts";
import { cgroupHierarchies } from "../kernel/process/cgroup-mount.ts";
import type { WindowSize } from "../kernel/terminal/pty.ts";
import { type Account, type AccountRequest, accountOf, outerId } from "./account.ts";

export interface EnterRequest extends AccountRequest {
  /** Of the command; null for the user's home, or "/" where there is none. */
  readonly directory: string | null;
  /** Assignments on top of the clean environment. */
  readonly environment: readonly string[];
  readonly command: readonly string[];
  /**
   * Whether the command has a controlling terminal: `given` as descriptor 0, or `own`, a new one whose master is sent through
   * descriptor 0 (terminal.ts).
   */
  readonly terminal: "none" | "given" | "own";
  /** Of a terminal of its own, from the command's first moment; null for none that is known. */
  readonly terminalSize: WindowSize | null;
  /** 0 for no limit. */
  readonly timeoutMs: number;
  /** Leave the command running, and print its number and its cgroup. */
  readonly detach: boolean;
  /** Say what could not be taken over from the leader. */
  readonly verbose: boolean;
  /** Who asked, for the journal. */
  readonly callerUid: number;
}

/** How machined-enter is called. */
interface EnterCommand {
  /** The user of this host who the command's user is; null where it is none. */
  readonly outerUid: number | null;
  readonly args: readonly string[];
  /** Each assignment behind "=", so that machined-enter and its C library ignore the variables. */
  readonly environment: readonly string[];
}

const PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/** Throws an ErrnoError `EINVAL` where parts of the request contradict each other. */
export function requireAgreement({ detach, terminal, timeoutMs, machine }: EnterRequest): void {
  if (timeoutMs < 0) throw new ErrnoError("EINVAL", `A time limit of ${timeoutMs} ms is none`);
  if (!detach || (terminal === "none" && timeoutMs === 0)) return;
  const option = terminal !== "none" ? "a terminal" : "a time limit";
  throw new ErrnoError(
    "EINVAL",
    `A command that is left running in machine '${machine}' cannot have ${option}: nobody stays for it`,
  );
}

/** Descriptors of ours that machined-enter has under the same numbers. */
interface EnterDescriptors {
  /** Of the leader. */
  readonly pidfd: number;
  /** What stays open as long as a process of the start hangs in the machine, and while the command runs, but not in it; null for nothing. */
  readonly held: number | null;
}

/**
 * Prepares a command. Throws an ErrnoError when the
 * leader has ended (`ESRCH`), and those of `accountOf()` where the account is still to be looked up.
 */
export function enterCommand(
  request: EnterRequest,
  { pidfd, held }: EnterDescriptors,
  account?: Account,
): EnterCommand {
  const { leader, machine } = request;
  requireAgreement(request);
  return leader.verified(() => {
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
