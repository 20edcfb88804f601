// Operations whose worker cannot be ended, on the real kernel.
import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { PidRef } from "../../src/kernel/process/pidref.ts";
import type { Child } from "../../src/kernel/process/spawn.ts";
import { Operations } from "../../src/registry/operation.ts";
import { errorOf, isRoot, needsRoot } from "../lib/daemon.ts";
import { HungFileSystem } from "../lib/hung-file-system.ts";
import { waitFor } from "../lib/wait-for.ts";

const LOG = { info: () => {}, warning: () => {}, debug: () => {} };

describe.skipIf(!isRoot)(`operations${needsRoot}`, () => {
  test("a call whose killed worker hangs in a file system fails, and the worker does not occupy a place of another user", async () => {
    using files = new HungFileSystem();
    const ended = Promise.withResolvers<void>();
    const spawn = (): Child => {
      const child = Bun.spawn(["stat", join(files.path, "x")], { stdio: ["ignore", "ignore", "ignore"] });
      return {
        pid: child.pid,
        pidRef: PidRef.of(child.pid),
        exited: child.exited.then(() => {
          ended.resolve();
          return { code: null, signal: "SIGKILL" };
        }),
        status: child.exited,
        result: Promise.resolve(""),
        kill: (signal) => child.kill(signal),
      };
    };
    const operations = new Operations(LOG, spawn);
    const owner = {};
    const error = errorOf(operations.run({ program: "any", args: [], owner }));
    await waitFor(() => expect(files.questions).toBeGreaterThan(0), "the worker to ask");
    operations.cancel(owner);
    expect(await error).toEndWith("Child does not end.");
    await operations.cancelAll();
    expect(operations.size).toBe(0);
    files.end();
    await ended.promise;
  });
});
