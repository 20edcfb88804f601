// Runs machined-enter (src/exec/enter): in place of this process, or as its child.
//
// The machine's user database may be on a file system that does not answer; a process that reads from it may not end
// even by SIGKILL. Therefore a separate process reads it, which is not waited for when the command's time is up or its
// caller disconnects (account-reader.ts).
import { ErrnoError } from "../base/error.ts";
import { type Fd, inheritable } from "../kernel/file/fd.ts";
import { sealedFile } from "../kernel/file/memory-file.ts";
import type { PidRef } from "../kernel/process/pidref.ts";
import { openPipe, readToEnd } from "../kernel/process/pipe.ts";
import { replaceProcess } from "../kernel/process/replace-process.ts";
import { type SpawnOptions, spawnSelf } from "../kernel/process/spawn.ts";
import type { Left } from "../kernel/socket/unix.ts";
import { monotonicUsec } from "../kernel/syscall/time.ts";
import { accountInTime } from "./account-reader.ts";
import { type EnterRequest, enterCommand, requireAgreement } from "./enter.ts";
import { takeTerminal } from "./terminal.ts";

/**
 * Descriptors of the program in command.ts. failure: pipe for the reason where the command could not be started;
 * leader: its pidfd; request: file with CommandWords; life: pipe that all processes of the start hold open; connection:
 * the caller's socket, where its streams are still to be received.
 */
export const COMMAND_FDS = { failure: 3, leader: 4, request: 5, life: 6, connection: 7 } as const;

/** The request as the child reads it, in JSON. */
export interface CommandWords extends Omit<EnterRequest, "leader"> {
  /**
   * How many bytes to read from `connection` to receive the standard streams; null where the child has inherited them.
   */
  readonly left: number | null;
  /** When the command's time began, in µs of the monotonic clock. */
  readonly sinceUsec: string;
}

const SIGHUP = 1;
/** Exit status of a command whose time was up. */
const TIMED_OUT = 124;

/** Returns the leader's pidfd; throws EOPNOTSUPP before Linux 5.3. */
function pidfdOf({ leader, machine }: { leader: PidRef; machine: string }): Fd {
  if (leader.pidfd !== null) return leader.pidfd;
  throw new ErrnoError("EOPNOTSUPP", `Cannot enter machine '${machine}': this kernel has no pidfds`);
}

/**
 * Replaces this process by the command, which has our descriptors 0 to 2. Returns, with exit status 124, only where the
 * command's time, counted from `sinceUsec` of the monotonic clock, is up before it began; throws an error with errno
 * where the command cannot be started. `program` is machined-enter. Processes that hang and are left behind hold `life`
 * open.
 */
export async function becomeCommand(
  request: EnterRequest,
  program: Promise<Fd>,
  sinceUsec: bigint = monotonicUsec(),
  life: Fd | null = null,
): Promise<number> {
  requireAgreement(request);
  const usedMs = () => Number(monotonicUsec() - sinceUsec) / 1000;
  const limitMs = request.timeoutMs > 0 ? request.timeoutMs : null;
  const account = await accountInTime(request, limitMs === null ? null : limitMs - usedMs(), life);
  const timeoutMs = limitMs === null ? 0 : limitMs - usedMs();
  if (account === null || (limitMs !== null && timeoutMs <= 0)) return TIMED_OUT;
  using pidfd = inheritable(pidfdOf(request));
  using held = life === null ? null : inheritable(life);
  const descriptors = { pidfd: pidfd.number, held: held?.number ?? null };
  const { args, environment, outerUid } = enterCommand({ ...request, timeoutMs }, descriptors, account);
  using file = await program;
  if (request.terminal === "own") takeTerminal(request.leader, outerUid, request.terminalSize);
  replaceProcess(file, args, environment);
}

export interface RunningCommand {
  /**
   * Resolves to the exit status of machined-enter (enter/main.c); rejects with an ErrnoError where the command was not
   * started.
   */
  readonly exited: Promise<number>;
  kill(signal: number): void;
}

interface StartedCommand extends RunningCommand {
  /**
   * Resolves when all processes of the start have ended, those too that hang in the machine and are not waited for.
   * Never rejects.
   */
  readonly gone: Promise<unknown>;
}

/**
 * Starts the command as a child with the given descriptors as 0 to 2; the caller still owns them. The child gets SIGHUP
 * when this process ends. It reports a failed start to this process, not to standard error: root must not write to a
 * descriptor that another user passed.
 */
export function startCommand(request: EnterRequest, [stdin, stdout, stderr]: readonly [Fd, Fd, Fd]): RunningCommand {
  return start(request, null, { stdin, stdout, stderr });
}

/** As `startCommand()`, for standard streams that are still in the caller's connection: the child receives them. */
export function startForCaller(request: EnterRequest, left: Left): StartedCommand {
  return start(request, left, { stdin: "ignore", stdout: "ignore", stderr: "inherit" });
}

function start(
  request: EnterRequest,
  left: Left | null,
  streams: Pick<SpawnOptions, "stdin" | "stdout" | "stderr">,
): StartedCommand {
  requireAgreement(request);
  const { leader, ...rest } = request;
  const told: CommandWords = { ...rest, left: left?.bytes ?? null, sinceUsec: String(monotonicUsec()) };
  using words = sealedFile("machined-exec-request", Buffer.from(JSON.stringify(told)));
  const [ended, life] = openPipe();
  using _life = life;
  const allGone = readToEnd(ended, 0);
  const connection = left === null ? {} : { [COMMAND_FDS.connection]: left.socket };
  const child = spawnSelf("machined-exec-command", [], {
    fds: {
      [COMMAND_FDS.leader]: pidfdOf(request),
      [COMMAND_FDS.request]: words,
      [COMMAND_FDS.life]: life,
      ...connection,
    },
    ...streams,
    result: true,
    signalWithParent: SIGHUP,
  });
  child.pidRef?.[Symbol.dispose]();
  const exited = async () => {
    const [status, failure] = await Promise.all([child.status, child.result]);
    if (failure !== "") throw new ErrnoError("ECANCELED", failure);
    return status;
  };
  const end = exited();
  // Callers forward a terminal to its end before they await this: a rejection meanwhile is not unhandled.
  end.catch(() => {});
  const gone = Promise.allSettled([end, allGone]);
  return { exited: end, gone, kill: (signal) => child.kill(signal) };
}
