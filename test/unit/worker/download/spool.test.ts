import { afterAll, expect, test } from "bun:test";
import {
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openPath, statAt, statFd } from "../../../../src/kernel/file/fd.ts";
import { Spool } from "../../../../src/worker/download/spool.ts";
import { openSpoolFile } from "../../../../src/worker/download/spool-file.ts";
import { readState, writeState } from "../../../../src/worker/download/spool-state.ts";

const scratch = mkdtempSync(join(tmpdir(), "spool-test-"));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

for (const [what, change] of [
  ["removed", (path: string) => rmSync(path)],
  ["renamed to an image", (path: string) => renameSync(path, `${path}.image`)],
  [
    "replaced by that of a third process",
    (path: string) => {
      rmSync(path);
      writeFileSync(path, "");
    },
  ],
] as const) {
  test(`a spool that was ${what} between opening and locking is opened anew`, () => {
    const path = join(scratch, what);
    using root = openPath(scratch, "directory");
    let isFirst = true;
    using file = openSpoolFile(root, what, () => {
      if (isFirst) change(path);
      isFirst = false;
    });
    expect(file === null ? 0n : statFd(file).ino).toBe(statAt(root, what, "no-follow").ino);
  });
}

test("a spool that another process writes to is busy, and stays unchanged", () => {
  using root = openPath(scratch, "directory");
  using file = openSpoolFile(root, "held");
  expect([file === null, openSpoolFile(root, "held")]).toEqual([false, null]);
  expect(existsSync(join(scratch, "held"))).toBe(true);
});

test("downloads of one URL for different uses have separate spools at the same time", () => {
  using root = openPath(scratch, "directory");
  const url = "http://x/one";
  {
    using _tar = Spool.open(root, "tar", url);
    using _raw = Spool.open(root, "raw", url);
    expect(() => Spool.open(root, "raw", url)).toThrow("Another transfer downloads 'http://x/one' already.");
  }
  expect(readdirSync(scratch).filter((name) => name.startsWith(".#pull-"))).toEqual([]);
});

test("a transfer that waits for a spool gets it when it is free, or is told that the download is complete", async () => {
  using root = openPath(scratch, "directory");
  const first = Spool.open(root, "oci", "http://x/layer");
  let isHere = false;
  const waiting = [false, true].map(() => Spool.openWhenFree(root, "oci", "http://x/layer", () => isHere));
  isHere = true;
  first[Symbol.dispose]();
  expect(await Promise.all(waiting)).toEqual([null, null]);
  isHere = false;
  const second = Spool.open(root, "oci", "http://x/layer");
  const next = Spool.openWhenFree(root, "oci", "http://x/layer", () => isHere);
  second[Symbol.dispose]();
  using spool = await next;
  expect(spool?.end).toBe(0);
});

test("the state of a spool is not written through a link that the directory's owner has put there", () => {
  const [path, elsewhere] = [join(scratch, "linked.state"), join(scratch, "elsewhere")];
  writeFileSync(elsewhere, "precious");
  for (const link of [path, `${path}.new`]) symlinkSync(elsewhere, link);
  const state = { url: "http://x/y", etag: null, lastModified: null, size: 1, bootId: "b", synced: 0 };
  writeState(path, state);
  expect([readState(path)?.url, readFileSync(elsewhere, "utf8")]).toEqual(["http://x/y", "precious"]);
});

test("a file that the directory's owner has linked to the name of a spool is not changed", () => {
  const pool = mkdtempSync(join(scratch, "pool-"));
  using root = openPath(pool, "directory");
  const open = () => Spool.open(root, "raw", "http://x/hard");
  const spool = open();
  const [name = ""] = readdirSync(pool);
  spool[Symbol.dispose]();
  const elsewhere = join(scratch, "hard");
  writeFileSync(elsewhere, "precious");
  linkSync(elsewhere, join(pool, name));
  expect(open).toThrow(`'${name}' is a file that has another name as well.`);
  expect(readFileSync(elsewhere, "utf8")).toBe("precious");
});

test("a sync beside the download that fails ends the transfer, and the file is not kept", async () => {
  using root = openPath(scratch, "directory");
  const spool = Spool.open(root, "raw", "http://x/synced");
  spool.begin({ url: "http://x/synced", etag: '"s"', lastModified: null, size: null });
  const [state = ""] = readdirSync(scratch).filter((name) => name.endsWith(".state"));
  // The state after the sync cannot be written. Zeros take no space on the disk.
  mkdirSync(join(scratch, `${state}.new`));
  const zeros = Buffer.alloc(16 << 20);
  for (let bytes = 0; bytes < 256 << 20; bytes += zeros.length) spool.append(zeros);
  await expect(spool.synced()).rejects.toThrow();
  expect(() => spool.append(zeros)).toThrow();
  rmdirSync(join(scratch, `${state}.new`));
  spool.keep();
  spool[Symbol.dispose]();
  expect(readdirSync(scratch).filter((name) => name.startsWith(".#pull-"))).toEqual([]);
});
