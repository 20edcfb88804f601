// The difference between two trees as an archive: which entries it has.
import { afterAll, expect } from "bun:test";
import {
  chmodSync,
  cpSync,
  linkSync,
  lutimesSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openPath } from "../../../src/kernel/file/fd.ts";
import { layerPolicy } from "../../../src/worker/oci/pack-layer.ts";
import { differenceChunks } from "../../../src/worker/tar/difference.ts";
import { rootTest } from "../support.ts";

const scratch = mkdtempSync(join(tmpdir(), "difference-test-"));
afterAll(() => rmSync(scratch, { recursive: true }));

let trees = 0;

/** Runs a script in the second of two equal trees; returns the names in the difference, without the top. */
function difference(script: string): string[] {
  const [base, tree] = [join(scratch, `base${trees}`), join(scratch, `tree${trees++}`)];
  mkdirSync(join(base, "a/deep/er"), { recursive: true });
  mkdirSync(join(base, "b"));
  writeFileSync(join(base, "a/deep/er/file"), "12345");
  writeFileSync(join(base, "b/one"), "one");
  linkSync(join(base, "b/one"), join(base, "b/two"));
  writeFileSync(join(base, "b/plain"), "plain");
  symlinkSync("plain", join(base, "b/link"));
  lutimesSync(join(base, "b/link"), 1, 1);
  Bun.spawnSync(["cp", "-a", base, tree]);
  const { exitCode, stderr } = Bun.spawnSync(["sh", "-ec", script], { cwd: tree });
  expect([exitCode, stderr.toString()]).toEqual([0, ""]);
  using from = openPath(base, "directory");
  using to = openPath(tree, "directory");
  const archive = Buffer.concat([...differenceChunks(from, to, layerPolicy())]);
  const listing = Bun.spawnSync(["tar", "t"], { stdin: archive });
  expect(listing.exitCode).toBe(0);
  // Files with several names are always in it.
  return listing.stdout
    .toString()
    .split("\n")
    .filter((name) => !["", "./", "./b/", "./b/one", "./b/two"].includes(name));
}

const KEEP_TIMES = (command: string) => `touch -r a/deep/er/file ../t; ${command}; touch -r ../t a/deep/er/file`;
const WAY = ["./a/", "./a/deep/", "./a/deep/er/"];

for (const [what, script, found] of [
  ["nothing", "true", []],
  ["content of the same size and time", KEEP_TIMES("printf 54321 > a/deep/er/file"), [...WAY, "./a/deep/er/file"]],
  ["a mode", "chmod 600 a/deep/er/file", [...WAY, "./a/deep/er/file"]],
  ["an owner", "chown 7:8 a/deep/er/file", [...WAY, "./a/deep/er/file"]],
  ["a time", "touch -d 2001-01-01 a/deep/er/file", [...WAY, "./a/deep/er/file"]],
  [
    "an attribute",
    'python3 -c \'import os; os.setxattr("a/deep/er/file", "user.x", b"1")\'',
    [...WAY, "./a/deep/er/file"],
  ],
  ["the mode of a directory", "chmod 700 a/deep", ["./a/", "./a/deep/"]],
  ["the target of a link", "ln -sfn other b/link; touch -hd @1 b/link", ["./b/link"]],
  ["a new directory and file", "mkdir -p a/n; : > a/n/f", ["./a/", "./a/n/", "./a/n/f"]],
  ["a removed file", "rm a/deep/er/file", [...WAY, "./a/deep/er/.wh.file"]],
  ["a removed directory", "rm -r a/deep", ["./a/", "./a/.wh.deep"]],
  ["a file in place of a directory", "rm -r a; : > a", ["./a"]],
  [
    "a directory in place of a file",
    "rm b/plain; mkdir b/plain; : > b/plain/in",
    ["./b/.wh.plain", "./b/plain/", "./b/plain/in"],
  ],
  ["a directory in place of a link", "rm b/link; mkdir b/link", ["./b/.wh.link", "./b/link/"]],
  [
    "a socket in place of a file",
    "rm b/plain; python3 -c 'import socket; socket.socket(1).bind(\"b/plain\")'",
    ["./b/.wh.plain"],
  ],
  ["a device 0:0, which is a whiteout", "rm b/plain; mknod b/plain c 0 0", ["./b/.wh.plain"]],
] as const) {
  rootTest(`the difference of two trees has only what changed: ${what}`, () => {
    expect(difference(script)).toEqual([...found]);
  });
}

rootTest("a file that got another name is written with all its names", () => {
  const [base, tree] = [join(scratch, "linked-base"), join(scratch, "linked")];
  mkdirSync(base);
  writeFileSync(join(base, "a"), "x");
  writeFileSync(join(base, "b"), "x");
  cpSync(base, tree, { recursive: true });
  rmSync(join(tree, "b"));
  linkSync(join(tree, "a"), join(tree, "b"));
  for (const one of [base, tree]) {
    for (const name of ["a", "b", "."]) utimesSync(join(one, name), 1, 1);
    chmodSync(one, 0o755);
  }
  using from = openPath(base, "directory");
  using to = openPath(tree, "directory");
  const archive = Buffer.concat([...differenceChunks(from, to, layerPolicy())]);
  const listing = Bun.spawnSync(["tar", "tv"], { stdin: archive }).stdout.toString();
  expect(listing).toMatch(/^-.* \.\/a$/m);
  expect(listing).toMatch(/^h.* \.\/b link to \.\/a$/m);
});
