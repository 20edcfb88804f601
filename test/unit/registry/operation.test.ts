import { expect, jest, test } from "bun:test";
import { write, writeSync } from "node:fs";
import { Fd } from "../../../src/kernel/file/fd.ts";
import type { Child, ExitStatus, SpawnOptions } from "../../../src/kernel/process/spawn.ts";
import { Operations } from "../../../src/registry/operation.ts";
import { GUARD_MS, waitFor } from "../../lib/wait-for.ts";

const LOG = { info: () => {}, warning: () => {}, debug: () => {} };

/** Simulated workers: the test decides what each of them sends and when it ends. */
class FakeWorkers {
  readonly started: { args: readonly string[]; options: SpawnOptions }[] = [];
  /** The effect of a signal; a killed process ends at some time. */
  onKill: (index: number) => void = (index) => this.end(index, { code: null, signal: "SIGKILL" });
  readonly #pipes: Fd[] = [];
  readonly #ends: ((status: ExitStatus) => void)[] = [];

  spawn = (program: string, args: readonly string[], options: SpawnOptions = {}): Child => {
    expect(program).toBe("machined-worker");
    this.started.push({ args, options });
    const pipe = options.fds?.[3];
    if (pipe instanceof Fd) this.#pipes.push(pipe.duplicate());
    const { promise, resolve } = Promise.withResolvers<ExitStatus>();
    this.#ends.push(resolve);
    const index = this.#ends.length - 1;
    return {
      pid: 1,
      pidRef: null,
      exited: promise,
      status: promise.then(({ code }) => code ?? 0),
      result: Promise.resolve(""),
      kill: () => this.onKill(index),
    };
  };

  say(index: number, text: string): void {
    writeSync((this.#pipes[index] as Fd).number, text);
  }

  /** Writes more than a pipe holds, without blocking: the reader runs in this thread. */
  sayMuch(index: number, text: string): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    write((this.#pipes[index] as Fd).number, text, (error) => (error === null ? resolve() : reject(error)));
    return promise;
  }

  end(index: number, status: ExitStatus = { code: 0, signal: null }): void {
    this.#pipes[index]?.close();
    this.#ends[index]?.(status);
  }
}

function start() {
  const workers = new FakeWorkers();
  return { workers, operations: new Operations(LOG, workers.spawn as never) };
}

/** The outcome of a promise: its value, or name and text of its error. */
async function endOf(promise: Promise<unknown>): Promise<unknown> {
  try {
    return await promise;
  } catch (error) {
    const { code, errnoName, message } = error as { code?: string; errnoName?: string; message: string };
    return `${code ?? errnoName}: ${message}`;
  }
}

const request = { program: "clone", args: ["a"] };

test("an operation returns its worker's result, after any number of progress reports", async () => {
  const { workers, operations } = start();
  const seen: unknown[] = [];
  const result = operations.run({ ...request, onProgress: (progress) => seen.push(progress) });
  expect(workers.started[0]?.args).toEqual(["clone", "a"]);
  workers.say(0, '{"progress":{"files":1}}\n{"progr');
  await waitFor(() => expect(seen.length).toBe(1), "the first report");
  workers.say(0, 'ess":{"files":2}}\n{"value":[1,"x"]}\n');
  workers.end(0);
  expect(await result).toEqual([1, "x"]);
  expect(seen).toEqual([{ files: 1 }, { files: 2 }]);
  expect(operations.size).toBe(0);
});

test("a worker that sends nothing and exits with 0 has succeeded", async () => {
  const { workers, operations } = start();
  const result = operations.run(request);
  workers.end(0);
  expect(await result).toBeNull();
});

test.each([
  ['{"code":"NoSuchImage","message":"No image"}\n', "NoSuchImage: No image"],
  ['{"errno":"ENOSPC","message":"Disk full"}\n', "ENOSPC: Disk full"],
  ['{"errno":"EBUSY"}\n', "EBUSY: Device or resource busy"],
  ['{"message":"Internal"}\n', "Failed: Internal"],
  ['{"code":"toString","errno":"EIO"}\n', "EIO: Input/output error"],
  ["", "Failed: Child failed."],
  ["nonsense\n", "Failed: Child failed."],
])("a worker's error is the error of the operation: %p", async (line, expected) => {
  const { workers, operations } = start();
  const result = operations.run(request);
  workers.say(0, line);
  workers.end(0, { code: 1, signal: null });
  expect(await endOf(result)).toBe(expected);
});

test("a killed worker is reported as ESHUTDOWN", async () => {
  const { workers, operations } = start();
  const result = operations.run(request);
  workers.end(0, { code: null, signal: "SIGKILL" });
  expect(await endOf(result)).toBe("ESHUTDOWN: Child died abnormally.");
});

test("M131: the 65th operation at the same time is refused, with the text that its action names", async () => {
  const { workers, operations } = start();
  const results = Array.from({ length: 64 }, () => operations.run(request));
  expect(operations.size).toBe(64);
  expect(await endOf(operations.run(request))).toBe("TooManyOperations: Too many ongoing operations.");
  expect(() => operations.requireRoom("Too many ongoing copies.")).toThrow("Too many ongoing copies.");
  workers.end(5);
  await results[5];
  operations.requireRoom();
  await operations.cancelAll();
  await Promise.allSettled(results);
  expect(operations.size).toBe(0);
});

test("when an owner disconnects, its operations end and those of others continue", async () => {
  const { workers, operations } = start();
  const [mine, theirs] = [{}, {}];
  const first = operations.run({ ...request, owner: mine });
  const second = operations.run({ ...request, owner: theirs });
  operations.cancel(mine);
  expect(await endOf(first)).toBe("ESHUTDOWN: Child died abnormally.");
  expect(operations.size).toBe(1);
  workers.end(1);
  expect(await second).toBeNull();
});

test("an operation waits without a limit until its killed worker has ended", async () => {
  const { workers, operations } = start();
  workers.onKill = () => {};
  const owner = {};
  jest.useFakeTimers();
  try {
    const result = operations.run({ ...request, owner });
    operations.cancel(owner);
    const all = operations.cancelAll();
    for (let minute = 0; minute < 60; minute++) {
      jest.advanceTimersByTime(60_000);
      await Promise.resolve();
    }
    expect([Bun.peek.status(result), Bun.peek.status(all), operations.size]).toEqual(["pending", "pending", 1]);
    jest.useRealTimers();
    workers.end(0, { code: null, signal: "SIGKILL" });
    expect(await endOf(result)).toBe("ESHUTDOWN: Child died abnormally.");
    await all;
    expect(operations.size).toBe(0);
  } finally {
    jest.useRealTimers();
  }
});

test(
  "the pipe of a worker that sends data without end is closed",
  async () => {
    const { workers, operations } = start();
    const result = operations.run(request);
    const talk = async () => {
      for (;;) {
        await workers.sayMuch(0, "x".repeat(60_000));
        await new Promise(setImmediate);
      }
    };
    expect(await endOf(talk())).toContain("EPIPE");
    workers.end(0);
    expect(await result).toBeNull();
  },
  GUARD_MS,
);
