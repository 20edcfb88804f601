// Archives of the same files are identical, byte by byte.
import { afterEach, beforeEach, expect, test } from "bun:test";
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { checksums, packFolder } from "../../../install/release/archive.ts";
import { makeTree } from "../../../install/release/package/contents.ts";

let scratch = "";

beforeEach(() => {
  scratch = mkdtempSync(join(tmpdir(), "machined-archive-"));
});

afterEach(() => rmSync(scratch, { recursive: true }));

function folder(name: string, order: readonly string[], seconds: number): string {
  const path = join(scratch, name, "content");
  mkdirSync(path, { recursive: true });
  chmodSync(path, 0o755);
  for (const file of order) {
    writeFileSync(join(path, file), file);
    chmodSync(join(path, file), 0o644);
    utimesSync(join(path, file), seconds, seconds);
  }
  symlinkSync("a", join(path, "link"));
  return path;
}

test("an archive does not depend on the order in which files were made, their times, or their directory", () => {
  const [one, two] = [join(scratch, "one.tar.gz"), join(scratch, "two.tar.gz")];
  packFolder(folder("x", ["a", "b"], 1), one, 1000);
  packFolder(folder("y", ["b", "a"], 2), two, 1000);
  expect(readFileSync(one).equals(readFileSync(two))).toBe(true);
  packFolder(join(scratch, "x/content"), two, 1001);
  expect(readFileSync(one).equals(readFileSync(two))).toBe(false);
});

test("the list of checksums can be checked with sha256sum --check", async () => {
  writeFileSync(join(scratch, "b"), "b");
  writeFileSync(join(scratch, "a"), "a");
  writeFileSync(join(scratch, "SHA256SUMS"), await checksums(scratch, ["b", "a"]));
  const check = () => Bun.spawnSync(["sha256sum", "--check", "--strict", "SHA256SUMS"], { cwd: scratch }).exitCode;
  expect(check()).toBe(0);
  writeFileSync(join(scratch, "a"), "other");
  expect(check()).toBe(1);
});

test("all files of a package are in /usr/lib/machined, none in /etc, /usr/local or a directory of the distribution", () => {
  const executable = join(scratch, "machined");
  writeFileSync(executable, "");
  const root = join(scratch, "root");
  mkdirSync(root);
  makeTree(root, { executable, sourceDate: 0, files: {} });
  const found = Bun.spawnSync(["find", root, "-not", "-type", "d", "-printf", "/%P %m %T@\\n"])
    .stdout.toString()
    .trim()
    .split("\n");
  expect(found.length).toBeGreaterThan(30);
  expect(found.filter((line) => !/^\/usr\/lib\/machined\/\S+ (644|777|755) 0\.0*$/.test(line))).toEqual([]);
});
