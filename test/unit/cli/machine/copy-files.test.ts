// The paths of copy-to and copy-from on this host.
import { expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { copyOrder } from "../../../../src/cli/machine/copy-files.ts";

const MAIN = join(import.meta.dir, "../../../../src/main.ts");

test("in a working directory that was removed, a relative path is an error as with the original", () => {
  const directory = mkdtempSync(join(tmpdir(), "copy-files-"));
  const script = 'mkdir gone && cd gone && rmdir ../gone && exec "$@"';
  for (const words of [
    ["copy-to", "m", "x", "/y"],
    ["copy-from", "m", "/y", "x"],
  ]) {
    const command = ["/bin/sh", "-c", script, "sh", process.execPath, MAIN, "machinectl", ...words];
    const { exitCode, stderr } = Bun.spawnSync(command, { cwd: directory });
    expect([exitCode, String(stderr)]).toEqual([1, "Failed to make path absolute: No such file or directory\n"]);
  }
  rmSync(directory, { recursive: true });
});

test("a path of slashes alone is the root directory, and not the working directory", () => {
  for (const root of ["/", "//", "///", "/.", "//..", "/./"]) {
    expect([root, copyOrder("to", ["m", root, "/x"]).source]).toEqual([root, "/"]);
    expect([root, copyOrder("from", ["m", "/x", root]).destination]).toEqual([root, "/"]);
  }
});
