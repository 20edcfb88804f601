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

test("LogTarget is 'journal' where the target is 'auto' and stderr is the journal", () => {
  expect(targetWith({ JOURNAL_STREAM: "8:1234" })).toBe("journal");
  expect(targetWith({ JOURNAL_STREAM: "8:1234", SYSTEMD_LOG_TARGET: "auto" })).toBe("journal");
});

test("LogTarget is unchanged for an explicit target, and 'auto' where stderr is not the journal", () => {
  expect(targetWith({ JOURNAL_STREAM: "8:1234", SYSTEMD_LOG_TARGET: "console" })).toBe("console");
  expect(targetWith({})).toBe("auto");
});
