// Starts machined-enter (src/exec/enter): in the place of this process, or as its child.
//
// The machine's user database may be on a file system that does not answer, and a process that waits for one may not even end by
// SIGKILL. Such a database is read by a process of its own, which is not waited for when the time of the command is up or its
// caller leaves (account-reader.ts).
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
import { enterProgram } from "./helper.ts";
import { takeTerminal } from "./terminal.ts";

/**
 * Of the program in command.ts: a pipe for why it was not started, the leader, the rest of the request, what is open as long as a
 * process of the start is left, and the caller's connection.
 */
export const COMMAND_FDS = { failure: 3, leader: 4, request: 5, life: 6, connection: 7 } as const;

/** What the child is told beside its descriptors. */
export interface CommandWords extends Omit<EnterRequest, "leader"> {
  /** How many bytes in the connection its standard streams came with; null where it has them. */
  readonly left: number | null;
  /** When its time began, on the monotonic clock. */
  readonly sinceUsec: string;
}

const SIGHUP = 1;
/** Exit status of a command whose time was up. */
const TIMED_OUT = 124;

/** A file of its own for each call: a machine that holds an old one open would keep a shared one from being executed. */
function programFile(): Fd {
  const program = enterProgram();
  if (program === null) {
    throw new ErrnoError(
      "EOPNOTSUPP",
      "This build cannot enter machines: it was made without a C compiler or without a static C library; build it where both are installed (Debian: gcc, libc6-dev)",
    );
  }
  return sealedFile("machined-enter", program);
}

/** The leader as a descriptor. Linux before 5.3 has none. */
function pidfdOf({ leader, machine }: { leader: PidRef; machine: string }): Fd {
  if (leader.pidfd !== null) return leader.pidfd;
  throw new ErrnoError("EOPNOTSUPP", `Cannot enter machine '${machine}': this kernel has no pidfds`);
}

/**
 * Becomes the command, with our descriptors 0 to 2. Returns its exit status where its time, which counts from `sinceUsec` of the
 * monotonic clock, is up before it began; else only by throwing an error with errno. Processes that are left hold `life`.
 */
export async function becomeCommand(
  request: EnterRequest,
  sinceUsec: bigint = monotonicUsec(),
  life: Fd | null = null,
): Promise<number> {
  requireAgreement(request);
  const usedMs = () => Number(monotonicUsec() - sinceUsec) / 1000;
  const limitMs = request.timeoutMs > 0 ? request.timeoutMs : null;
  const account = await accountInTime(request, limitMs === null ? null : limitMs - usedMs(), life);
  const timeoutMs = limitMs === null ? 0 : limitMs - usedMs();
  if (account === null || (limitMs !== null && timeoutMs <= 0)) return TIMED_OUT;
  using program = programFile();
  using pidfd = inheritable(pidfdOf(request));
  using held = life === null ? null : inheritable(life);
  const descriptors = { pidfd: pidfd.number, held: held?.number ?? null };
  const { args, environment, outerUid } = enterCommand({ ...request, timeoutMs }, descriptors, account);
  if (request.terminal === "own") takeTerminal(request.leader, outerUid, request.terminalSize);
  replaceProcess(program, args, environment);
}

export interface RunningCommand {
  /** The exit status of machined-enter (enter/main.c). Rejects with an ErrnoError where no command was started. */
  readonly exited: Promise<number>;
  kill(signal: number): void;
}

interface StartedCommand extends RunningCommand {
  /** No process of the start is left, not even one that hangs in the machine and is not waited for. Never rejects. */
  readonly gone: Promise<unknown>;
}

/**
 * Starts the command as a child with the given descriptors as 0 to 2, which stay ours. It is hung up when this process ends. Why
 * a command was not started it tells us alone: what root writes to a descriptor of somebody else's could be a message in the name of root.
 */
export function startCommand(request: EnterRequest, [stdin, stdout, stderr]: readonly [Fd, Fd, Fd]): RunningCommand {
  return start(request, null, { stdin, stdout, stderr });
}

/** `startCommand()` with the standard streams that a caller sent, which the child receives. */
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
  // A terminal is forwarded to its end before this is looked at.
  end.catch(() => {});
  const gone = Promise.allSettled([end, allGone]);
  return { exited: end, gone, kill: (signal) => child.kill(signal) };
}
