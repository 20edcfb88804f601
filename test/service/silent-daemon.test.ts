// A machine manager or transfer daemon that is stopped (SIGSTOP): its clients print which service they wait for, and
// time out once, not once for each protocol.
import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { isRoot, needsRoot, TestDaemon } from "../lib/daemon.ts";
import { GUARD_MS } from "../lib/wait-for.ts";
import { TestImportd } from "./import-support.ts";

const MAIN = join(import.meta.dir, "../../src/main.ts");

const VERBS: readonly (readonly [words: string, complaint: string])[] = [
  ["list", "Could not get machines"],
  ["list-images", "Could not get images"],
  ["status alpha", "Could not get path to machine"],
  ["poweroff alpha", "Could not kill machine"],
  ["remove alpha", "Could not remove image"],
  ["events", "Failed to read events of systemd-machined"],
  ["wait --for=running alpha", "Could not get path to machine"],
  ["stats", "Could not get machines"],
];

describe.skipIf(!isRoot)(`a manager that is stopped${needsRoot}`, () => {
  test(
    "every verb prints that it waits, and fails once with the reason",
    async () => {
      await using daemon = await TestDaemon.start();
      const env = { PATH: process.env["PATH"] ?? "", MACHINED_RUNTIME_DIRECTORY: daemon.runtime };
      process.kill(daemon.pid, "SIGSTOP");
      try {
        const runs = VERBS.map(async ([words]) => {
          const argv = [process.execPath, MAIN, "machinectl", ...words.split(" ")];
          const child = Bun.spawn(argv, { env, stdio: ["ignore", "pipe", "pipe"] });
          return [words, await child.stderr.text(), await child.exited];
        });
        expect(await Promise.all(runs)).toEqual(
          VERBS.map(([words, complaint]) => {
            return [words, `Waiting for systemd-machined …\n${complaint}: Connection timed out\n`, 1];
          }),
        );
      } finally {
        process.kill(daemon.pid, "SIGCONT");
      }
    },
    GUARD_MS,
  );

  test(
    "a push with a transfer daemon that is stopped prints that it waits, and fails with the reason",
    async () => {
      await using daemon = await TestImportd.start();
      const env = { PATH: process.env["PATH"] ?? "", MACHINED_RUNTIME_DIRECTORY: daemon.runtime };
      process.kill(daemon.pid, "SIGSTOP");
      try {
        const argv = [process.execPath, MAIN, "importctl", "-m", "push-oci", "web", "localhost:1/team/web"];
        const child = Bun.spawn(argv, { env, stdio: ["ignore", "pipe", "pipe"] });
        expect([await child.stderr.text(), await child.exited]).toEqual([
          "Waiting for systemd-importd …\nFailed to push image 'web': Connection timed out\n",
          1,
        ]);
      } finally {
        process.kill(daemon.pid, "SIGCONT");
      }
    },
    GUARD_MS,
  );
});
