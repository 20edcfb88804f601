// One transfer: its worker program, the worker's log and progress, and its result.
//
// The transfer ends when the worker has exited, even where another process still has the pipe of its log open. The
// result is `done` for exit code 0, else `canceled` where it was cancelled, else `failed`. A worker whose main thread
// hangs in a file system is killed with SIGKILL; one that hangs in the kernel even then is abandoned.

import { errnoText } from "../base/errno.ts";
import { ErrnoError } from "../base/error.ts";
import { inNextTurn } from "../base/next-turn.ts";
import { causeOf } from "../base/text/signal-cause.ts";
import { PROGRESS_UNKNOWN, type TransferResult } from "../base/vocabulary/transfer.ts";
import { watch } from "../kernel/event/poller.ts";
import { readSome } from "../kernel/file/byte-io.ts";
import type { Fd } from "../kernel/file/fd.ts";
import { whenHung } from "../kernel/process/hung.ts";
import { openPipe } from "../kernel/process/pipe.ts";
import { type Child, type ExitStatus, type SpawnOptions, spawnSelf } from "../kernel/process/spawn.ts";
import type { Threads } from "../kernel/process/uninterruptible-sleep.ts";
import { SyscallError } from "../kernel/syscall/sys.ts";
import { LogBudget } from "./log-budget.ts";
import { type LogLine, LogLines } from "./log-lines.ts";
import type { TransferPlan, WorkerCommand } from "./worker-command.ts";

/** Priority "warning" of facility "daemon". */
const WARNING = (3 << 3) | 4;
const [PRIORITY_BITS, ERROR] = [7, 3];
const SIGINT = 2;
const SIGKILL = 9;
const SIGTERM = 15;
const SIGCONT = 18;
/** How often 64 KiB of the log are read when the worker has ended: what a pipe holds, also with large pages. */
const LAST_READS = 16;
/** How many cancellations send SIGTERM, which lets the worker clean up; a further one sends SIGKILL. */
const GENTLE_CANCELLATIONS = 3;

/** The events of a transfer. */
interface TransferEvents {
  log(transfer: Transfer, line: LogLine): void;
  progress(transfer: Transfer): void;
  ended(transfer: Transfer, result: TransferResult, status: ExitStatus): void;
}

/** The open files of a transfer; the caller closes them. */
export interface TransferFiles {
  readonly input?: Fd;
  readonly output?: Fd;
}

/** A transfer from the start of its worker to its end. */
export class Transfer {
  readonly id: number;
  readonly plan: TransferPlan;
  readonly #events = new Set<Partial<TransferEvents>>();
  #child: Child | null = null;
  #log: Fd | null = null;
  #isReadPlanned = false;
  #lines: LogLines | null = null;
  #percent: number | null = null;
  #cancellations = 0;
  #isKilled = false;
  #stopLooking = () => {};
  readonly #over = Promise.withResolvers<void>();
  readonly #budget = new LogBudget();
  /** The last error of the worker that was not passed on since the last report of lines left out. */
  #suppressedError: LogLine | null = null;

  constructor(id: number, plan: TransferPlan) {
    this.id = id;
    this.plan = plan;
  }

  /** The worker's process id, 0 before it runs. */
  get pid(): number {
    return this.#child?.pid ?? 0;
  }

  /** From 0 to 1; PROGRESS_UNKNOWN before the first report of the worker. */
  get progress(): number {
    return this.#percent === null ? PROGRESS_UNKNOWN : this.#percent / 100;
  }

  /** Calls the handlers at each event; returns a function that ends this. */
  follow(events: Partial<TransferEvents>): () => void {
    this.#events.add(events);
    return () => void this.#events.delete(events);
  }

  /** Starts the worker. Throws an error with errno where it cannot be started. */
  start({ program, args }: WorkerCommand, files: TransferFiles, options: SpawnOptions): void {
    const [log, workerEnd] = openPipe();
    const lines = new LogLines((line) => this.#line(line));
    try {
      // Before the worker is started, which nobody would wait for where this fails.
      watch(log, { read: true }, () => this.#readLog(log, lines));
      this.#child = spawnSelf(program, args, {
        ...options,
        stdin: files.input ?? "ignore",
        stdout: files.output ?? workerEnd,
        stderr: workerEnd,
        signalWithParent: SIGINT,
      });
    } catch (error) {
      log.close();
      const { code } = error as { code?: unknown };
      throw typeof code === "string" ? new ErrnoError(code, `Failed to start ${program}: ${errnoText(code)}`) : error;
    } finally {
      workerEnd.close();
    }
    const { pidRef, exited } = this.#child;
    this.#log = log;
    this.#lines = lines;
    void exited.then((status) => {
      this.#end(status);
      pidRef?.[Symbol.dispose]();
    });
  }

  /**
   * Handles a report of the worker: "13%", or "13" as the workers of 252 write it. Returns false for any other text.
   */
  setProgress(text: string): boolean {
    const match = /^(\d{1,3})%?$/.exec(text);
    const percent = Number(match?.[1]);
    if (match === null || percent > 100) return false;
    if (percent !== this.#percent) {
      this.#percent = percent;
      this.#tell((events) => events.progress?.(this));
    }
    return true;
  }

  /** Terminates the worker; repeated calls kill it. */
  cancel(): void {
    this.#cancellations++;
    if (this.#cancellations > GENTLE_CANCELLATIONS) this.#kill();
    else {
      this.#signal(SIGTERM);
      this.#ifHung("main", () => this.#kill());
    }
  }

  /**
   * Interrupts the worker because the daemon ends, and kills it after `patienceMs`. Resolves when the transfer has
   * ended.
   */
  async stop(patienceMs: number): Promise<void> {
    const child = this.#child;
    if (child === null) return;
    this.#cancellations++;
    this.#signal(SIGINT);
    const timer = setTimeout(() => this.#kill(), patienceMs);
    await this.#over.promise;
    clearTimeout(timer);
  }

  #kill(): void {
    this.#signal(SIGKILL);
    if (this.#isKilled) return;
    this.#isKilled = true;
    this.#ifHung("all", () => this.#abandon());
  }

  #ifHung(threads: Threads, then: () => void): void {
    const { pidRef = null } = this.#child ?? {};
    if (pidRef === null || (this.#isKilled && threads === "main")) return;
    this.#stopLooking();
    this.#stopLooking = whenHung(pidRef, threads, then);
  }

  #abandon(): void {
    this.#warn(`The worker ${this.pid} was killed and does not end: a file system does not answer.`);
    this.#end({ code: null, signal: "SIGKILL" });
  }

  /** Sends a signal, and SIGCONT, without which a stopped process would not handle it. */
  #signal(signal: number): void {
    this.#child?.kill(signal);
    this.#child?.kill(SIGCONT);
  }

  /** Adds a line of the daemon to the worker's log. */
  #warn(text: string): void {
    this.#tell((events) => events.log?.(this, { priority: WARNING, text }));
  }

  /** Reads the pipe until it is empty. A worker may write faster than its lines are read: other work has its turns. */
  #readLog(log: Fd, lines: LogLines): void {
    if (this.#isReadPlanned || !readPart(log, lines)) return;
    this.#isReadPlanned = true;
    inNextTurn(() => {
      this.#isReadPlanned = false;
      this.#readLog(log, lines);
    });
  }

  #line(line: LogLine): void {
    const { mayPass, suppressed } = this.#budget.spend();
    this.#noteSuppressed(suppressed);
    if (mayPass) this.#tell((events) => events.log?.(this, line));
    else if ((line.priority & PRIORITY_BITS) <= ERROR) this.#suppressedError = line;
  }

  #noteSuppressed(count: number): void {
    if (count === 0) return;
    this.#suppressedError = null;
    this.#warn(`${count} lines of the log were left out.`);
  }

  /** Reports the lines that were left out last, with the last error among them: why the worker failed. */
  #endLog(): void {
    const [error, { suppressed }] = [this.#suppressedError, this.#budget];
    this.#noteSuppressed(error === null ? suppressed : suppressed - 1);
    if (error !== null) this.#tell((events) => events.log?.(this, error));
  }

  #tell(event: (events: Partial<TransferEvents>) => void): void {
    for (const events of [...this.#events]) event(events);
  }

  #end(status: ExitStatus): void {
    this.#stopLooking();
    if (this.#log === null || this.#lines === null) return;
    // Children of the worker may keep the pipe open: only data that is in it now is read.
    for (let reads = 0; reads < LAST_READS && readPart(this.#log, this.#lines); ) reads++;
    this.#lines.flush();
    this.#endLog();
    this.#log.close();
    this.#log = null;
    this.#over.resolve();
    const result = status.code === 0 ? "done" : this.#cancellations > 0 ? "canceled" : "failed";
    if (result === "failed" && status.signal !== null) this.#warn(`The worker was ended by ${causeOf(status.signal)}.`);
    this.#tell((events) => events.ended?.(this, result, status));
    this.#events.clear();
  }
}

/** Reads up to 64 KiB; returns whether there may be more. */
function readPart(log: Fd, lines: LogLines): boolean {
  if (!log.isOpen) return false;
  try {
    const bytes = readSome(log);
    if (bytes === null || bytes.length === 0) return false;
    lines.push(bytes);
    return true;
  } catch (error) {
    if (!(error instanceof SyscallError)) throw error;
    return false;
  }
}
