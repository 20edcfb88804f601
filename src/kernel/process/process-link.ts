// Opens what the links of /proc/PID name: the root directory and the namespaces of a process. New kernels make a reader
// of these links wait while the process executes a program (execve(2)). A process that has a file open whose file
// system does not answer the closing of it (FUSE) stays in that state, and its reader would wait for ever; the leader
// of a machine, and any caller, can do that. So another process opens the link (syscall/apart.ts), and the wait ends.
// See proc_pid_root(5), proc_pid_ns(5).
import { Fd, OPEN_FLAGS, openPath } from "../file/fd.ts";
import { CallApart } from "../syscall/apart.ts";
import { AT_FDCWD, EINTR } from "../syscall/constants.ts";
import { cstring, pin } from "../syscall/mem.ts";
import { check, isErrno, SyscallError, trySys } from "../syscall/sys.ts";
import { processStatus, startTicksOf } from "./process-file.ts";

type LinkMode = "read" | "path" | "directory";

/** How long a call that sleeps is waited for: an execution takes milliseconds. */
const SLEEP_MS = 250;
/** The interval of looking whether a call sleeps: one that has no processor is waited for. */
const STEP_MS = 25;
/** How long the start time of a process is waited for. */
const START_TIME_MS = 5000;
/** How many hung calls are kept; with another one, the oldest is ended. */
const MOST_HUNG = 64;
const CLEAN_MS = 1000;
const STAT_BYTES = 4096;

interface HungCall {
  readonly call: CallApart;
  /** Whether its result is a descriptor. */
  readonly opens: boolean;
}

/** The hung calls; those that open a link by the PID of its process, as further ones for it would hang as well. */
const hung = new Map<number | CallApart, HungCall>();
let cleaning: ReturnType<typeof setInterval> | null = null;

/**
 * Opens `/proc/PID/NAME`. Throws `ENOENT` where the process has ended or the kernel lacks the link, `ETIMEDOUT` where
 * the process hangs while it executes a program.
 */
export function openProcessLink(pid: number, name: string, mode: LinkMode): Fd {
  using links = new ProcessLinks([pid], name, mode);
  return links.open(pid);
}

/**
 * The links of one name of several processes, which are opened at the same time: opening one after the other takes
 * twice as long where all processors are busy, and those of several hung processes are waited for together.
 */
export class ProcessLinks implements Disposable {
  readonly #name: string;
  readonly #mode: LinkMode;
  readonly #calls = new Map<number, CallApart>();
  readonly #beganMs = performance.now();

  /** Begins to open them. */
  constructor(pids: Iterable<number>, name: string, mode: LinkMode) {
    this.#name = name;
    this.#mode = mode;
    for (const pid of pids) {
      const call = isHung(pid) || this.#calls.has(pid) ? null : this.#begin(pid);
      if (call !== null) this.#calls.set(pid, call);
    }
  }

  /**
   * Waits for the link of one of the processes, and returns it; where it was returned before, opens it again. Throws as
   * `openProcessLink()`.
   */
  open(pid: number): Fd {
    const path = this.#path(pid);
    const begun = this.#calls.get(pid);
    if (begun === undefined && isHung(pid)) throw new SyscallError("openat", "ETIMEDOUT", path);
    const call = begun ?? this.#begin(pid);
    if (call === null) return openPath(path, this.#mode);
    this.#calls.delete(pid);
    if (hasHung(call, begun === undefined ? performance.now() : this.#beganMs)) {
      keepHung(isHung(pid) ? call : pid, { call, opens: true });
      throw new SyscallError("openat", "ETIMEDOUT", path);
    }
    return Fd.adopt(check(call.result ?? EINTR, "openat", path));
  }

  #begin(pid: number): CallApart | null {
    return CallApart.begin("openat", AT_FDCWD, cstring(this.#path(pid)), OPEN_FLAGS[this.#mode]);
  }

  #path(pid: number): string {
    return `/proc/${pid}/${this.#name}`;
  }

  /** Closes the links that were not returned, those that are not open yet as soon as they are. */
  [Symbol.dispose](): void {
    for (const call of this.#calls.values()) {
      const left = { call, opens: true };
      if (!settled(call, left)) keepHung(call, left);
    }
    this.#calls.clear();
  }
}

/** Waits until the call has ended; returns true where it sleeps instead, and was begun long ago. */
function hasHung(call: CallApart, beganMs = performance.now()): boolean {
  while (!call.hasEnded(STEP_MS)) {
    if (performance.now() - beganMs >= SLEEP_MS && isAsleep(call.pid)) return true;
  }
  return false;
}

/**
 * Returns the start time of a process in clock ticks since boot. Throws `ESRCH` where it has ended, `ETIMEDOUT` where
 * it hangs while it executes a program.
 */
export function startTicksSoon(pid: number): bigint {
  using reading = StatReading.begin(pid);
  if (!hasHung(reading.call)) return reading.startTicks();
  throw reading.giveUp();
}

/** The reading of /proc/PID/stat by another process. */
class StatReading implements Disposable {
  readonly #pid: number;
  readonly #file: Fd;
  readonly #buffer = pin(STAT_BYTES);
  readonly call: CallApart;

  private constructor(pid: number, file: Fd) {
    this.#pid = pid;
    this.#file = file;
    const call = CallApart.begin("read", file.number, this.#buffer, this.#buffer.size);
    if (call === null) throw new SyscallError("clone", "EAGAIN", this.#path);
    this.call = call;
  }

  static begin(pid: number): StatReading {
    const file = openPath(`/proc/${pid}/stat`, "read");
    try {
      return new StatReading(pid, file);
    } catch (error) {
      file.close();
      throw error;
    }
  }

  get #path(): string {
    return `/proc/${this.#pid}/stat`;
  }

  /** Returns the result of the call, which has ended. */
  startTicks(): bigint {
    const size = this.call.result ?? 0;
    if (size <= 0) throw new SyscallError("process", "ESRCH", String(this.#pid));
    return startTicksOf(this.#buffer.bytes.subarray(0, size).toString("latin1"));
  }

  /** Ends the call, which hangs; returns the error. */
  giveUp(): SyscallError {
    this.call.kill();
    keepHung(this.call, { call: this.call, opens: false });
    return new SyscallError("read", "ETIMEDOUT", this.#path);
  }

  [Symbol.dispose](): void {
    this.#file.close();
  }
}

/**
 * Returns the start time of a process in clock ticks since boot. Throws `ESRCH` where it has ended, `ETIMEDOUT` where
 * it hangs for `limitMs` while it executes a program.
 */
export async function startTicksPatiently(pid: number, limitMs = START_TIME_MS): Promise<bigint> {
  using reading = StatReading.begin(pid);
  const end = performance.now() + limitMs;
  // Usually the call has ended before the first millisecond is over.
  for (let waitMs = 1; !reading.call.hasEnded(waitMs); waitMs = 0) {
    if (performance.now() > end) throw reading.giveUp();
    await Bun.sleep(STEP_MS);
  }
  return reading.startTicks();
}

/**
 * Whether a process is in an uninterruptible sleep; false where it has ended. True where that cannot be read, because
 * the process itself has taken the last free descriptor, for example: nobody could say when it stops to wait.
 */
function isAsleep(pid: number): boolean {
  try {
    return processStatus(pid, "State").startsWith("D");
  } catch (error) {
    if (!(error instanceof SyscallError)) throw error;
    return !isErrno(error, "ESRCH");
  }
}

/** Whether an earlier call for the process hangs still. */
function isHung(pid: number): boolean {
  const earlier = hung.get(pid);
  return earlier !== undefined && !settled(pid, earlier);
}

/** Whether the call has ended; then closes what it has opened, for which nobody waits any more. */
function settled(key: number | CallApart, { call, opens }: HungCall): boolean {
  if (!call.hasEnded()) return false;
  hung.delete(key);
  const { result = -1 } = call;
  if (opens && result >= 0) trySys("close", result);
  return true;
}

function keepHung(key: number | CallApart, call: HungCall): void {
  hung.set(key, call);
  cleaning ??= setInterval(clean, CLEAN_MS);
  cleaning.unref();
  if (hung.size > MOST_HUNG) hung.values().next().value?.call.kill();
}

function clean(): void {
  for (const [key, call] of [...hung]) settled(key, call);
  if (hung.size > 0 || cleaning === null) return;
  clearInterval(cleaning);
  cleaning = null;
}
