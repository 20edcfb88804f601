// A run of the tests that is interrupted ends what it has started, and removes what it has made.
import { expect, test } from "bun:test";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { TOP } from "../lib/run-tests.ts";
import { waitFor } from "../lib/wait-for.ts";
import { processFile, signalIfThere } from "../lib/workers.ts";

const STARTS = 'sleep 1000 & echo $! >"$0/daemon"; wait';
/** It ends after SIGTERM, but not before the test wants it; and where the test has failed. */
const IS_SLOW = `trap 'while test -d "$0" && ! test -e "$0/may-end"; do sleep .1; done; exit' TERM
: >"$0/slow"; while test -d "$0"; do sleep .1; done`;
/** Runs commands as test/run.ts does. */
const RUN = `
import { runCommand } from ${JSON.stringify(join(TOP, "test/lib/run-tests.ts"))};
import { forwardSignals, makeDirectory } from ${JSON.stringify(join(TOP, "test/lib/running.ts"))};
const [folder, starts, isSlow] = process.argv.slice(1);
forwardSignals();
makeDirectory("played-");
const first = runCommand(["sh", "-c", starts, folder]);
await Promise.all([runCommand(["sh", "-c", isSlow, folder]), first.then(() => runCommand(["touch", folder + "/next"]))]);
`;

test.each(["SIGTERM", "SIGINT", "SIGHUP"] as const)(
  "%s ends all processes of a run, starts no further one, and leaves no directory",
  async (signal) => {
    const folder = mkdtempSync(join(tmpdir(), "machined-interrupted-run-"));
    const temporary = join(folder, "tmp");
    mkdirSync(temporary);
    const run = Bun.spawn([process.execPath, "-e", RUN, folder, STARTS, IS_SLOW], {
      env: { ...process.env, TMPDIR: temporary },
      stdio: ["ignore", "ignore", "inherit"],
    });
    let daemon = 0;
    try {
      await waitFor(() => {
        expect(existsSync(join(folder, "slow"))).toBe(true);
        daemon = Number(readFileSync(join(folder, "daemon"), "utf8"));
        expect(daemon).toBeGreaterThan(0);
      }, "the commands");
      run.kill(signal);
      // As npm does, which passes on what the terminal has sent already.
      run.kill(signal);
      await waitFor(() => expect(processFile(daemon, "cmdline")).toBe(""), "the end of the process that was left");
      expect(run.exitCode).toBe(null);
      Bun.spawnSync(["touch", join(folder, "may-end")]);
      expect(await run.exited).toBe({ SIGTERM: 143, SIGINT: 130, SIGHUP: 129 }[signal]);
      expect(existsSync(join(folder, "next"))).toBe(false);
      expect(readdirSync(temporary)).toEqual([]);
    } finally {
      run.kill("SIGKILL");
      if (daemon > 0) signalIfThere(daemon, "SIGKILL");
      rmSync(folder, { recursive: true });
    }
  },
);
