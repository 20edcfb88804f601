import { expect, test } from "bun:test";
import { join } from "node:path";
import { PidRef } from "../../../src/kernel/process/pidref.ts";
import { processStatus } from "../../../src/kernel/process/process-file.ts";
import { uninterruptibleSleep } from "../../../src/kernel/process/uninterruptible-sleep.ts";
import { HungFileSystem } from "../../lib/hung-file-system.ts";
import { rootTest, until } from "../support.ts";

rootTest(
  "a killed process that waits for a FUSE file system is reported as sleeping, and ends when the server is gone",
  async () => {
    using files = new HungFileSystem();
    const child = Bun.spawn(["stat", join(files.path, "x")], { stdio: ["ignore", "ignore", "ignore"] });
    using held = PidRef.of(child.pid);
    await until(() => files.questions > 0, "the question");
    child.kill("SIGKILL");
    const sleep = await until(() => uninterruptibleSleep(held), "the sleep");
    expect(uninterruptibleSleep(held)).toBe(sleep);
    expect(held.isAlive()).toBe(true);
    files.end();
    await child.exited;
    expect(child.signalCode).toBe("SIGKILL");
    expect(uninterruptibleSleep(held)).toBeNull();
  },
);

test("a process in an interruptible wait, or a stopped one, is not reported", async () => {
  const child = Bun.spawn(["cat"], { stdin: "pipe", stdout: "ignore" });
  using held = PidRef.of(child.pid);
  child.kill("SIGSTOP");
  await until(() => /^T/.test(processStatus(child.pid, "State")), "the stop");
  expect(uninterruptibleSleep(held)).toBeNull();
  child.kill("SIGKILL");
  await child.exited;
  expect(uninterruptibleSleep(held)).toBeNull();
});
