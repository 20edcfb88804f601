// The daemons of tests (lib/daemon.ts) that do not start.
import { expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { TestDaemon } from "../lib/daemon.ts";

test("a daemon that ends while it starts is an error with its log at once, and leaves no file", async () => {
  const { prepare } = TestDaemon;
  const runtimes: string[] = [];
  TestDaemon.prepare = (...words) => {
    const daemon = prepare(...words);
    runtimes.push(daemon.runtime);
    return daemon;
  };
  try {
    const started = TestDaemon.start({}, ["--nonsense"]);
    await expect(started).rejects.toThrow(/^The daemon has ended, status 1:\n.*--nonsense/s);
  } finally {
    TestDaemon.prepare = prepare;
  }
  const [runtime = ""] = runtimes;
  expect([runtime !== "", existsSync(runtime), existsSync(`${runtime}.log`)]).toEqual([true, false, false]);
});
