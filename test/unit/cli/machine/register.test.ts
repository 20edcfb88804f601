// `machinectl register NAME COMMAND`: commands that cannot be run.
import { expect, test } from "bun:test";
import { runMachinectl } from "../../../../src/cli/program/machinectl.ts";
import { FakeProcess, WORLDS, type World } from "../fake-world.ts";

async function registered(command: string): Promise<[number, string]> {
  const client = new FakeProcess(WORLDS["one"] as World);
  const status = await runMachinectl(["register", "mini", "--", command], client);
  return [status, client.stderr];
}

test("as for exec, the status of a command that is not executable is 126, of one that is not found 127", async () => {
  const failed = (command: string) => `Failed to run '${command}' as leader of machine 'mini'`;
  expect(await registered("/etc/passwd")).toEqual([126, `${failed("/etc/passwd")}: it is not executable\n`]);
  expect(await registered("/nonexistent")).toEqual([127, `${failed("/nonexistent")}: no such program\n`]);
  expect(await registered("no-such-program")).toEqual([127, `${failed("no-such-program")}: no such program\n`]);
  expect(await registered("")).toEqual([127, `${failed("")}: no such program\n`]);
});
