// One run of journalctl for `machinectl logs`: when its errors are printed. In place of journalctl, a shell runs.
import { expect, test } from "bun:test";
import { JournalReader } from "../../../../src/cli/logs/reader.ts";
import type { PagerPipe } from "../../../../src/cli/session/output.ts";
import { Session } from "../../../../src/cli/session/session.ts";
import { defaultSettings } from "../../../../src/cli/session/settings.ts";
import { FakeProcess, WORLDS, type World } from "../fake-world.ts";

async function read(script: string, keepsErrors: boolean, pager: PagerPipe | null = null) {
  const client = new FakeProcess(WORLDS["one"] as World);
  const session = new Session(defaultSettings(), client);
  if (pager !== null) session.output.usePager({ start: () => pager, takesErrors: false });
  const reader = new JournalReader(session, { command: ["sh", "-c", script] }, "short", {
    before: null,
    follows: false,
    isNewStart: false,
    keepsErrors,
  });
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

test("no more is read of the journal than the pager takes, and nothing after the user has quit it", async () => {
  let isFull = false;
  let shown = 0;
  const pager: PagerPipe = {
    write: () => {
      expect(isFull).toBe(false);
      isFull = true;
      return ++shown < 5;
    },
    drained: async () => {
      await new Promise((resolve) => setImmediate(resolve));
      isFull = false;
    },
    close: async () => {},
  };
  const { status } = await read("exec seq 3000000", false, pager);
  expect([status, shown]).toEqual([143, 5]);
});

const BOOT = "-- Boot 0123456789abcdef0123456789abcdef --";

/** Prints the lines of three runs: one that follows, one of all boots from some seconds before on, one that follows. */
async function readThrice(isNewStart: boolean, ...runs: readonly (readonly string[])[]): Promise<string[]> {
  const client = new FakeProcess(WORLDS["one"] as World);
  const session = new Session(defaultSettings(), client);
  let before: JournalReader | null = null;
  for (const [index, lines] of runs.entries()) {
    const invocation = { command: ["printf", "%s\\n", ...lines] as [string, ...string[]] };
    const options = { before, follows: index !== 1, isNewStart: index === 1 && isNewStart, keepsErrors: false };
    before = new JournalReader(session, invocation, "short", options);
    await before.ended;
  }
  return client.stdout.trimEnd().split("\n");
}

test("an entry that equals one of the boot before, in the same second, is printed", async () => {
  const old = ["10:00:28 up", "10:00:28 down"];
  const next = ["10:00:28 starts", "10:00:28 up"];
  // The second run sees entries of the new boot, or none yet.
  const seen = await readThrice(true, old, [...old, "10:00:28 off", BOOT, "10:00:28 starts"], next);
  expect(seen).toEqual([...old, "10:00:28 off", BOOT, ...next]);
  expect(await readThrice(true, old, [...old, "10:00:28 off"], next)).toEqual([...old, "10:00:28 off", ...next]);
});

test("an entry is printed once where a machine runs on, or keeps no journal of the boot before", async () => {
  const read = ["10:00:28 up", "10:00:28 login"];
  expect(await readThrice(false, read, read, [...read, "10:00:29 more"])).toEqual([...read, "10:00:29 more"]);
  const next = ["10:00:29 starts", "10:00:29 up"];
  expect(await readThrice(true, read, next, [...next, "10:00:30 more"])).toEqual([...read, ...next, "10:00:30 more"]);
});
