import { afterEach, expect, test } from "bun:test";
import { join } from "node:path";
import { DaemonLog } from "../../../src/daemon/log.ts";
import { readSome } from "../../../src/kernel/file/byte-io.ts";
import { openPipe } from "../../../src/kernel/process/pipe.ts";
import { waitFor } from "../../lib/wait-for.ts";

const MODULE = join(import.meta.dir, "../../../src/daemon/log.ts");

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

test("a reader of standard error that is stuck does not stop the daemon, and learns how many lines it missed", async () => {
  const script = `
    const { DaemonLog } = await import(${JSON.stringify(MODULE)});
    const log = new DaemonLog("test", "daemon");
    for (let line = 0; line < 10_000; line++) log.info(line + "x".repeat(200));
    log.info("y".repeat(100_000));
    process.stdout.write("logged");
    await Bun.stdin.text();
    log.info("the last line");
  `;
  const [read, write] = openPipe();
  const child = Bun.spawn([process.execPath, "-e", script], {
    env: { ...process.env, SYSTEMD_LOG_TARGET: "console" },
    stdio: ["pipe", "pipe", write.number],
  });
  write.close();
  // The child reaches this although nobody reads its log.
  const stdout = child.stdout.getReader();
  expect(Buffer.from((await stdout.read()).value ?? "").toString()).toBe("logged");
  let text = "";
  const readAll = () => {
    for (let bytes = readSome(read); bytes !== null && bytes.length > 0; bytes = readSome(read)) text += bytes;
  };
  readAll();
  await child.stdin.end();
  await waitFor(() => {
    readAll();
    expect(text).toEndWith("<6>the last line\n");
  }, "the last line");
  expect(await child.exited).toBe(0);
  const [, dropped = "0"] = /^<4>(\d+) lines of the log were dropped: nobody read them\.$/m.exec(text) ?? [];
  expect(Number(dropped)).toBeGreaterThan(9000);
  read.close();
});
