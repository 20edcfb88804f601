// Operations: long work runs in worker processes (src/worker), so that the daemon keeps answering and survives a killed
// operation. A worker writes its progress and result to descriptor 3, one JSON object a line:
//   { "progress": … }  any number of times
//   { "value": … }  or  { "code"?: …, "errno"?: …, "message"?: … }  at the end; nothing at all: success without a value
import { errnoText } from "../base/errno.ts";
import { ERRORS, ErrnoError, type ErrorCode, MachinedError } from "../base/error.ts";
import { watch } from "../kernel/event/poller.ts";
import { readSome } from "../kernel/file/byte-io.ts";
import type { Fd } from "../kernel/file/fd.ts";
import { whenHung } from "../kernel/process/hung.ts";
import { openPipe } from "../kernel/process/pipe.ts";
import { type Child, type ExitStatus, spawnSelf } from "../kernel/process/spawn.ts";
import type { Log } from "./ports.ts";

/** A value that JSON can hold. */
export type Plain = null | boolean | number | string | readonly Plain[] | { readonly [key: string]: Plain };

interface OperationRequest {
  /** An entry of the table in src/worker/main.ts. */
  readonly program: string;
  readonly args: readonly string[];
  /** Descriptors by their numbers in the worker, 4 and up; the caller still owns them. */
  readonly fds?: Readonly<Record<number, Fd>>;
  /** The owner of the operation, which is ended with it. */
  readonly owner?: object;
  /**
   * The machine whose files the operation reaches. While an abandoned worker hangs in that machine's file systems,
   * further operations on the machine are refused with Timeout. Hanging workers do not count against operations on no
   * machine.
   */
  readonly subject?: object | undefined;
  /** A worker that writes nothing for this long is killed, and the caller gets ETIMEDOUT. */
  readonly silenceMs?: number;
  onProgress?(progress: Plain): void;
}

const OPERATIONS_MAX = 64;
const RESULT_FD = 3;
const LINE_MAX_BYTES = 4 << 20;
const SIGKILL = 9;

interface Running {
  readonly owner: object | undefined;
  readonly subject: object | undefined;
  readonly child: Child;
  /** Resolves when the worker was reaped and its output has been read. */
  readonly done: Promise<unknown>;
  /** Resolves at the same time, or earlier when the worker was abandoned. */
  readonly over: Promise<unknown>;
  /** Rejects the caller's promise: the worker is abandoned. */
  abandon(): void;
  isKilled: boolean;
  /** The worker was abandoned and has not ended yet. It no longer counts against the limit. */
  isAbandoned: boolean;
  /** It was killed because it had written nothing for too long. */
  isSilent: boolean;
}

type Spawn = typeof spawnSelf;

/** The operations of this daemon. */
export class Operations {
  readonly #log: Log;
  readonly #spawn: Spawn;
  readonly #running = new Set<Running>();

  constructor(log: Log, spawn: Spawn = spawnSelf) {
    this.#log = log;
    this.#spawn = spawn;
  }

  /** The number of operations that a caller waits for. */
  get size(): number {
    let count = 0;
    for (const { isAbandoned } of this.#running) if (!isAbandoned) count++;
    return count;
  }

  /** Throws TooManyOperations with the given text when no more can be started. */
  requireRoom(message = "Too many ongoing operations.", subject?: object): void {
    let count = 0;
    for (const running of this.#running) {
      if (!running.isAbandoned && (running.subject === undefined) === (subject === undefined)) count++;
    }
    if (count >= OPERATIONS_MAX) throw new MachinedError("TooManyOperations", message);
  }

  /** Throws Timeout while an abandoned worker hangs in this machine. */
  requireResponsive(subject: object): void {
    for (const running of this.#running) {
      if (running.subject !== subject || !running.isAbandoned) continue;
      throw new MachinedError(
        "Timeout",
        "A file system of the machine does not answer, and a process still waits for it.",
      );
    }
  }

  /**
   * Starts a worker and returns the value it ends with. Rejects with the worker's own error (`MachinedError` or
   * `ErrnoError`), or with `ESHUTDOWN` when it was killed.
   */
  async run(request: OperationRequest): Promise<Plain> {
    const { subject } = request;
    if (subject !== undefined) this.requireResponsive(subject);
    this.requireRoom(undefined, subject);
    const [read, write] = openPipe();
    let touch = () => {};
    let child: Child;
    let last: Promise<Line | null>;
    try {
      // Before the worker is started, which nobody would wait for where this fails.
      last = lastLine(read, (progress) => {
        touch();
        request.onProgress?.(progress);
      });
      const fds = { ...request.fds, [RESULT_FD]: write };
      child = this.#spawn("machined-worker", [request.program, ...request.args], {
        fds,
        stdout: "ignore",
        signalWithParent: SIGKILL,
      });
    } catch (error) {
      read.close();
      throw error;
    } finally {
      write.close();
    }
    const done = Promise.all([last, child.exited]).finally(() => child.pidRef?.[Symbol.dispose]());
    const abandoned = Promise.withResolvers<never>();
    const abandon = () => this.#abandon(running, abandoned.reject);
    const over = Promise.race([done, abandoned.promise]);
    const running: Running = {
      ...{ owner: request.owner, subject, child, done, over, abandon },
      ...{ isKilled: false, isAbandoned: false, isSilent: false },
    };
    this.#running.add(running);
    const forget = () => this.#running.delete(running);
    done.then(forget, forget);
    const silence = request.silenceMs === undefined ? null : this.#endSilent(running, request.silenceMs);
    if (silence !== null) touch = () => silence.refresh();
    try {
      const [line, status] = await over;
      return resultOf(line, status);
    } catch (error) {
      this.#log.debug(`Operation ${request.program} failed: ${error}`);
      throw running.isSilent ? new ErrnoError("ETIMEDOUT", "A file system does not answer.") : error;
    } finally {
      if (silence !== null) clearTimeout(silence);
    }
  }

  /** Abandons a worker that hangs in the kernel. */
  #abandon(running: Running, reject: (error: Error) => void): void {
    running.isAbandoned = true;
    this.#log.warning(`Worker ${running.child.pid} was killed and does not end: a file system does not answer.`);
    reject(new ErrnoError("ESHUTDOWN", "Child does not end."));
  }

  #endSilent(running: Running, silenceMs: number): ReturnType<typeof setTimeout> {
    return setTimeout(() => {
      running.isSilent = true;
      kill(running);
    }, silenceMs);
  }

  /**
   * Kills the workers of an owner that ends; their callers get an error once the workers are reaped. A worker that
   * hangs in a file system is not reaped: it is abandoned.
   */
  cancel(owner: object): void {
    for (const running of this.#running) if (running.owner === owner) kill(running);
  }

  /** Kills all workers and waits until they are reaped; does not wait for one that hangs in a file system. */
  async cancelAll(): Promise<void> {
    const all = [...this.#running];
    for (const running of all) kill(running);
    await Promise.allSettled(all.map(({ over }) => over));
  }
}

/**
 * Kills a worker. It is abandoned where the kernel reports it in uninterruptible sleep. The elapsed time alone is no
 * criterion: a killed process ends when it gets a processor, which may take long on a busy host.
 */
function kill(running: Running): void {
  running.child.kill(SIGKILL);
  if (running.isKilled) return;
  running.isKilled = true;
  const { pidRef } = running.child;
  if (pidRef === null) return;
  const stop = whenHung(pidRef, "all", () => running.abandon());
  running.over.then(stop, stop);
}

interface Line {
  readonly progress?: Plain;
  readonly value?: Plain;
  readonly code?: string;
  readonly errno?: string;
  readonly message?: string;
}

/** Reads a worker's lines to their end and returns the last one that is no progress; null when there was none. */
function lastLine(read: Fd, onProgress: (progress: Plain) => void): Promise<Line | null> {
  const { promise, resolve } = Promise.withResolvers<Line | null>();
  let rest = Buffer.alloc(0);
  let last: Line | null = null;
  const take = (bytes: Buffer) => {
    rest = Buffer.concat([rest, bytes]);
    for (let end = rest.indexOf(10); end >= 0; end = rest.indexOf(10)) {
      const line = parseLine(rest.subarray(0, end).toString());
      rest = rest.subarray(end + 1);
      if (line?.progress !== undefined) onProgress(line.progress);
      else last = line ?? last;
    }
  };
  const finish = () => {
    read.close();
    resolve(last);
  };
  watch(read, { read: true }, () => {
    for (let bytes = readSome(read); bytes !== null; bytes = readSome(read)) {
      if (bytes.length === 0 || rest.length > LINE_MAX_BYTES) return finish();
      take(bytes);
    }
  });
  return promise;
}

function parseLine(text: string): Line | null {
  try {
    const line: unknown = JSON.parse(text);
    return typeof line === "object" && line !== null ? (line as Line) : null;
  } catch {
    return null;
  }
}

function resultOf(line: Line | null, status: ExitStatus): Plain {
  const { code, errno, message, value = null } = line ?? {};
  if (code !== undefined && Object.hasOwn(ERRORS, code)) throw new MachinedError(code as ErrorCode, message ?? code);
  if (errno !== undefined) throw new ErrnoError(errno, message ?? errnoText(errno));
  if (message !== undefined) throw new MachinedError("Failed", message);
  if (status.signal !== null) throw new ErrnoError("ESHUTDOWN", "Child died abnormally.");
  if (status.code !== 0) throw new MachinedError("Failed", "Child failed.");
  return value;
}
