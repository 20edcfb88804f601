// What cannot be written to standard output is an error of every command, not a success.

import { expect, test } from "bun:test";
import { closeSync, openSync } from "node:fs";
import { join } from "node:path";

const MAIN = join(import.meta.dir, "../../../../src/main.ts");

async function onFullDisk(...words: string[]): Promise<{ status: number; error: string }> {
  const full = openSync("/dev/full", "w");
  try {
    const child = Bun.spawn([process.execPath, MAIN, ...words], { stdin: "ignore", stdout: full, stderr: "pipe" });
    const error = await child.stderr.text();
    return { status: await child.exited, error: error.trim() };
  } finally {
    closeSync(full);
  }
}

test.each([
  "machinectl --version",
  "machinectl --help",
  "machinectl list --help",
  "machinectl --signal=list",
  "importctl --help",
  "systemd-machined --version",
])("%s fails where its output cannot be written", async (line) => {
  const { status, error } = await onFullDisk(...line.split(" "));
  expect([status, error]).toEqual([1, "Failed to write output: No space left on device"]);
});

test("a reader that has ended is no error", async () => {
  const line = `"$0" "$1" machinectl --version | :; echo "\${PIPESTATUS[0]}"`;
  const child = Bun.spawn(["bash", "-c", line, process.execPath, MAIN], { stdin: "ignore", stderr: "pipe" });
  expect([await child.stdout.text(), await child.stderr.text()]).toEqual(["0\n", ""]);
});
