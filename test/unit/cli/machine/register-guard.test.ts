// The guard of `machinectl register NAME COMMAND`.
import { expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { startGuard } from "../../../../src/cli/machine/register-guard.ts";
import { Session } from "../../../../src/cli/session/session.ts";
import { defaultSettings } from "../../../../src/cli/session/settings.ts";
import { PidRef } from "../../../../src/kernel/process/pidref.ts";
import { waitFor } from "../../../lib/wait-for.ts";
import { FakeProcess, WORLDS, type World } from "../fake-world.ts";

const NAME = `guarded-${crypto.randomUUID()}`;

/** Returns the processes that have the name of the machine in their command line. */
function guards(): number[] {
  return readdirSync("/proc")
    .map(Number)
    .filter((pid) => pid > 0 && commandLine(pid).includes(NAME));
}

function commandLine(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "latin1");
  } catch {
    return ""; // it has ended
  }
}

test("a guard that was killed does not keep the command's exit status from its caller", async () => {
  await using child = Bun.spawn(["cat"], { stdin: "pipe", stdout: "ignore" });
  using command = PidRef.of(child.pid);
  const session = new Session(defaultSettings(), new FakeProcess(WORLDS["one"] as World));
  const guard = startGuard(session, NAME, command);
  // A process that has just been started has no command line yet.
  await waitFor(() => expect(guards()).toHaveLength(1), "the guard");
  const [pid = 0] = guards();
  using killed = PidRef.of(pid);
  const ended = new Promise<void>((resolve) => killed.onExit(resolve));
  killed.kill(9);
  await ended;
  guard.setLeader(child.pid);
  await guard.end();
  expect(guards()).toEqual([]);
});
