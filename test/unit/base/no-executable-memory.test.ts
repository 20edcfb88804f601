import { expect, test } from "bun:test";
import { executableMemoryAdvice, unitInCgroup } from "../../../src/base/no-executable-memory.ts";

test("the unit of a process is the last service or scope of its control group", () => {
  expect(unitInCgroup("0::/system.slice/system-systemd\\x2dsysupdate.slice/systemd-sysupdate@1.service\n")).toBe(
    "systemd-sysupdate@1.service",
  );
  expect(unitInCgroup("4:memory:/x\n1:name=systemd:/user.slice/user@1.service/app.slice/a.service/sub\n")).toBe(
    "a.service",
  );
  expect(unitInCgroup("9:name=systemd:/\n8:pids:/\n0::/system.slice/run-1.service\n")).toBe("run-1.service");
  for (const text of ["", "0::/\n", "garbage"]) expect(unitInCgroup(text)).toBeNull();
});

test("the advice names the program, the cause, the unit and the drop-in", () => {
  const advice = executableMemoryAdvice("systemd-import-fs", "a.service");
  for (const part of ["systemd-import-fs:", "MemoryDenyWriteExecute=yes", "'a.service'", "MemoryDenyWriteExecute=no"]) {
    expect(advice).toContain(part);
  }
  expect(executableMemoryAdvice("x", null)).not.toContain("null");
});
