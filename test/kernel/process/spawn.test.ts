import { expect, spyOn, test } from "bun:test";
import { cpSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { watchCount } from "../../../src/kernel/event/poller.ts";
import { selfCommand, spawnSelf } from "../../../src/kernel/process/spawn.ts";
import { GUARD_MS, WAIT_MS } from "../../lib/wait-for.ts";
import { scratchDirectory } from "../support.ts";

const directory = scratchDirectory();
const sources = join(directory, "src");
const ours = join(import.meta.dir, "../../../src");
mkdirSync(sources);
for (const part of ["kernel", "base"]) cpSync(join(ours, part), join(sources, part), { recursive: true });

// A program that starts itself as "child", which prints its arguments and descriptors.
writeFileSync(
  join(sources, "main.ts"),
  `
  import { basename } from "node:path";
  import { readFileSync, readlinkSync, writeSync } from "node:fs";
  const name = basename(process.argv0);
  const args = process.argv.slice(2);
  const isChild = name === "child" || args[0] === "child";
  if (name !== "child") args.shift();
  if (isChild && args[0] === "wait") setTimeout(() => {}, 100_000);
  else if (isChild) {
    const report = { args, env: process.env, cwd: process.cwd(), five: readFileSync("/proc/self/fd/5", "utf8"), stdin: readlinkSync("/proc/self/fd/0") };
    writeSync(3, JSON.stringify(report));
    process.exit(7);
  } else {
    const { spawnSelf } = await import("./kernel/process/spawn.ts");
    const { openPath } = await import("./kernel/file/fd.ts");
    using five = openPath(${JSON.stringify(join(directory, "five"))}, "read");
    const child = spawnSelf("child", ["a b", "--version", "-x"], { result: true, fds: { 5: five }, env: { EXTRA: "1" } });
    console.log(await child.result);
    console.log(JSON.stringify(await child.exited));
    const waiting = spawnSelf("child", ["wait"]);
    waiting.kill(15);
    console.log(JSON.stringify(await waiting.exited), waiting.pidRef?.pid === waiting.pid);
    child.pidRef?.[Symbol.dispose]();
    waiting.pidRef?.[Symbol.dispose]();
  }
`,
);
writeFileSync(join(directory, "five"), "file five");

const EXPECTED = {
  args: ["a b", "--version", "-x"],
  env: { PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", EXTRA: "1" },
  cwd: "/",
  five: "file five",
  stdin: "/dev/null",
};

function expectReport(command: string[]): void {
  const run = Bun.spawnSync(command, { env: { ...process.env, SECRET: "1" }, timeout: WAIT_MS });
  const [report, exited, killed] = run.stdout.toString().split("\n");
  expect(run.stderr.toString()).toBe("");
  expect(JSON.parse(report ?? "")).toEqual(EXPECTED);
  expect(exited).toBe('{"code":7,"signal":null}');
  expect(killed).toBe('{"code":null,"signal":"SIGTERM"} true');
}

test("run from the sources, the program's name is the first argument after main.ts", () => {
  expect(selfCommand("systemd-pull", ["tar"]).command).toEqual([
    process.execPath,
    join(ours, "main.ts"),
    "systemd-pull",
    "tar",
  ]);
  expectReport([process.execPath, join(sources, "main.ts"), "parent"]);
});

test(
  "in a compiled executable, the program's name is argv[0]",
  () => {
    const outfile = join(directory, "program");
    const built = Bun.spawnSync([
      process.execPath,
      "build",
      "--compile",
      "--minify",
      "--bytecode",
      "--format=esm",
      "--splitting",
      join(sources, "main.ts"),
      "--outfile",
      outfile,
    ]);
    expect(built.exitCode).toBe(0);
    expectReport([outfile, "parent"]);
  },
  GUARD_MS,
);

test("standard descriptors cannot be passed as extra ones", async () => {
  const { openPath } = await import("../../../src/kernel/file/fd.ts");
  using file = openPath("/dev/null", "read");
  expect(() => spawnSelf("child", [], { fds: { 1: file } })).toThrow("Invalid argument");
});

test("no child is started whose result could not be read", () => {
  const before = watchCount();
  let readers = 0;
  const spawn = spyOn(Bun, "spawn").mockImplementation(() => {
    readers = watchCount() - before;
    throw new Error("not started");
  });
  try {
    expect(() => spawnSelf("child", [], { result: true })).toThrow("not started");
  } finally {
    spawn.mockRestore();
  }
  expect(readers).toBe(1);
  expect(watchCount()).toBe(before);
});
