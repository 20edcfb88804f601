// One run of journalctl for `machinectl logs`: when its errors are printed. In place of journalctl, a shell runs.
import { expect, test } from "bun:test";
import { JournalReader } from "../../../../src/cli/logs/reader.ts";
import { Session } from "../../../../src/cli/session/session.ts";
import { defaultSettings } from "../../../../src/cli/session/settings.ts";
import { FakeProcess, WORLDS, type World } from "../fake-world.ts";

async function read(script: string, keepsErrors: boolean) {
  const client = new FakeProcess(WORLDS["one"] as World);
  const session = new Session(defaultSettings(), client);
  const reader = new JournalReader(session, { command: ["sh", "-c", script] }, "short", { before: null, keepsErrors });
  return { client, reader, status: await reader.ended };
}

test("errors are printed at once, unless they are to be kept", async () => {
  const { client, status } = await read("echo wrong >&2; exit 125", false);
  expect([status, client.stderr]).toEqual([125, "wrong\n"]);
});

test("errors before the first output are kept until they are asked for", async () => {
  const { client, reader, status } = await read("echo wrong >&2; exit 125", true);
  expect([status, client.stderr]).toEqual([125, ""]);
  reader.printErrors();
  reader.printErrors();
  expect(client.stderr).toBe("wrong\n");
});

test("the first output prints the errors that were kept, and later ones are printed at once", async () => {
  const { client } = await read("echo first >&2; echo line; echo second >&2", true);
  expect(client.stdout).toBe("line\n");
  expect(client.stderr.split("\n").sort()).toEqual(["", "first", "second"]);
});

test("not more than some kilobytes of errors are kept", async () => {
  const { client } = await read("yes wrong | head -n 10000 >&2", true);
  expect(client.stderr.length).toBeGreaterThan(40_000);
});
