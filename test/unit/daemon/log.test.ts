import { afterEach, expect, test } from "bun:test";
import { DaemonLog } from "../../../src/daemon/log.ts";

const NAMES = ["JOURNAL_STREAM", "SYSTEMD_LOG_TARGET"] as const;
const before = NAMES.map((name) => [name, process.env[name]] as const);

function targetWith(env: Partial<Record<(typeof NAMES)[number], string>>): string {
  for (const name of NAMES) {
    delete process.env[name];
    if (env[name] !== undefined) process.env[name] = env[name];
  }
  return new DaemonLog("test", "daemon").target;
}

afterEach(() => {
  for (const [name, value] of before) {
    delete process.env[name];
    if (value !== undefined) process.env[name] = value;
  }
});

test("LogTarget names the journal where the process writes to it", () => {
  expect(targetWith({ JOURNAL_STREAM: "8:1234" })).toBe("journal");
  expect(targetWith({ JOURNAL_STREAM: "8:1234", SYSTEMD_LOG_TARGET: "auto" })).toBe("journal");
});

test("what was asked for by name stays, and so does 'auto' elsewhere", () => {
  expect(targetWith({ JOURNAL_STREAM: "8:1234", SYSTEMD_LOG_TARGET: "console" })).toBe("console");
  expect(targetWith({})).toBe("auto");
});
