// A machine that ends while a command is started in it.
import { expect, test } from "bun:test";
import { ErrnoError } from "../../../src/base/error.ts";
import { MachineEnded, openLeader, whileRunning } from "../../../src/exec/ended.ts";
import { PidRef } from "../../../src/kernel/process/pidref.ts";

test("whatever fails because the leader has ended is reported as the machine's end, and other errors are not", async () => {
  const child = Bun.spawn(["sleep", "1000"]);
  using leader = PidRef.of(child.pid);
  const fault = new ErrnoError("EIO", "The user database could not be read");
  const read = () => {
    throw fault;
  };
  expect(whileRunning("web", leader, () => 7)).toBe(7);
  expect(() => whileRunning("web", leader, read)).toThrow(fault);
  child.kill("SIGKILL");
  await child.exited;
  for (const work of [read, () => 7, (): unknown => PidRef.of(child.pid)]) {
    expect(() => whileRunning<unknown>("web", leader, work)).toThrow(new MachineEnded("web"));
  }
  expect(() => openLeader("web", () => PidRef.of(child.pid))).toThrow("Machine 'web' has ended");
  expect(() => openLeader("web", read)).toThrow(fault);
});
