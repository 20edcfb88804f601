// How long the client waits for a status that does not come.
import { afterEach, expect, setSystemTime, test } from "bun:test";
import type { Bus } from "../../../../src/cli/session/ports.ts";
import type { Session } from "../../../../src/cli/session/session.ts";
import { ShellStatus } from "../../../../src/cli/terminal/shell-status.ts";

afterEach(() => void setSystemTime());

test("a clock that is set back meanwhile does not prolong the wait for a status", async () => {
  const bus: Partial<Bus> = { subscribe: async () => async () => {}, call: async () => [] };
  const session = { settings: { transport: { kind: "local" } }, bus: async () => bus };
  const status = await ShellStatus.follow(session as unknown as Session, ".host");
  const result = status.result(100);
  setSystemTime(new Date(Date.now() - 3_600_000));
  await expect(result).rejects.toThrow("not known");
});
