// npm run try, with the sources in place of a built executable.
import { afterAll, expect, test } from "bun:test";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isRoot, needsRoot } from "../lib/daemon.ts";
import { havePrograms } from "../lib/programs.ts";
import { waitFor } from "../lib/wait-for.ts";
import { processFile, signalIfThere } from "../lib/workers.ts";

const TOP = join(import.meta.dir, "../..");
/** One moment in four left a process, before nothing was started any more. */
const ROUNDS = 10;
const can = isRoot && havePrograms("npm run try", "unshare");

const scratch = mkdtempSync(join(tmpdir(), "machined-try-test-"));
afterAll(() => rmSync(scratch, { recursive: true }));

function begin(temporary: string) {
  const executable = join(scratch, "machined");
  writeFileSync(executable, `#!/bin/sh\nexec '${process.execPath}' '${TOP}/src/main.ts' "$@"\n`, { mode: 0o755 });
  mkdirSync(temporary);
  return Bun.spawn([process.execPath, join(TOP, "install/try.ts"), executable], {
    env: { PATH: process.env["PATH"] ?? "", TMPDIR: temporary },
    stdio: ["ignore", "pipe", "pipe"],
  });
}

/** The processes that have a directory in their command line. */
function processesOf(directory: string): number[] {
  const all = readdirSync("/proc").map(Number).filter(Number.isInteger);
  return all.filter((pid) => processFile(pid, "cmdline").includes(directory));
}

test.skipIf(!can)(`the demonstration works, and leaves nothing${needsRoot}`, async () => {
  const temporary = join(scratch, "whole");
  const demonstration = begin(temporary);
  const [stdout, stderr] = await Promise.all([demonstration.stdout.text(), demonstration.stderr.text()]);
  expect([await demonstration.exited, stderr]).toEqual([0, ""]);
  expect(stdout).toContain("Everything worked.");
  expect([readdirSync(temporary), processesOf(temporary)]).toEqual([[], []]);
});

test.skipIf(!can)(
  `the demonstration leaves no process when it is interrupted while it begins${needsRoot}`,
  async () => {
    for (let round = 0; round < ROUNDS; round++) {
      const temporary = join(scratch, `interrupted${round}`);
      const demonstration = begin(temporary);
      await waitFor(() => {
        const [runtime = ""] = readdirSync(temporary);
        expect(existsSync(join(temporary, runtime, "machine/io.systemd.Machine"))).toBe(true);
      }, "the daemon's socket");
      demonstration.kill("SIGTERM");
      expect([await demonstration.exited, await demonstration.stderr.text()]).toEqual([143, ""]);
      const left = processesOf(temporary);
      for (const pid of left) signalIfThere(pid, "SIGKILL");
      expect([left, readdirSync(temporary)]).toEqual([[], []]);
    }
  },
);
