// The programs that import and export files of this host.
import { expect, setDefaultTimeout } from "bun:test";
import { randomBytes } from "node:crypto";
import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { FILE_FLAG, fileFlags } from "../../src/kernel/file/attributes.ts";
import { openPath } from "../../src/kernel/file/fd.ts";
import { rootTest } from "../kernel/support.ts";
import { GUARD_MS, waitFor } from "../lib/wait-for.ts";
import { archive } from "../unit/worker/archive-builder.ts";
import { entries, FaultyServer, runWorker, Scratch, startWorker } from "./pull-support.ts";

setDefaultTimeout(GUARD_MS);

const scratch = new Scratch();
const server = new FaultyServer();
const NOBODY = 65534;
const MAIN = join(import.meta.dir, "../../src/main.ts");
const TREE = archive(
  { name: "./", type: "5", mode: 0o751, uid: 7 },
  { name: "etc/os-release", data: "ID=x\n" },
  { name: "f", data: "content" },
);
const DISK = Buffer.concat([randomBytes(100_000), Buffer.alloc(3 << 20), randomBytes(5000)]);

function file(name: string, bytes: Buffer | string): string {
  const path = join(scratch.path, name);
  writeFileSync(path, bytes);
  return path;
}

const importing = (verb: "tar" | "raw", root: string, ...rest: string[]) =>
  runWorker("systemd-import", [verb, `--image-root=${root}`, ...rest]);
const exporting = (verb: "tar" | "raw", root: string, ...rest: string[]) =>
  runWorker("systemd-export", [verb, `--image-root=${root}`, ...rest]);

rootTest("I101: names are derived from files, and the name for standard input is 'imported'", async () => {
  const root = scratch.root();
  const path = file("some.tar.gz", gzipSync(TREE));
  const { code, log } = await importing("tar", root, path);
  // On a busy machine it takes long enough for a line about the progress.
  expect([code, log.replaceAll(/^Imported \d+%\.\n/gm, "")]).toEqual([
    0,
    `Importing '${path}', saving as 'some'.\nOperation completed successfully.\nExiting.\n`,
  ]);
  const child = Bun.spawn([process.execPath, MAIN, "systemd-import", "tar", `--image-root=${root}`, "-"], {
    stdin: Buffer.from(TREE),
    stderr: "ignore",
  });
  expect(await child.exited).toBe(0);
  expect(entries(root)).toEqual(["imported", "some"]);
  expect([lstatSync(join(root, "some")).mode & 0o777, lstatSync(join(root, "some")).uid]).toEqual([0o751, 7]);
});

rootTest(
  "a user without privileges can import files of the same owner, and gets an error for other owners",
  async () => {
    const root = scratch.root();
    mkdirSync(root);
    chownSync(root, NOBODY, NOBODY);
    chmodSync(scratch.path, 0o755);
    const importAs = async (name: string, uid: number) => {
      const path = file(`${name}.tar`, archive({ name: "f", data: "content", uid, gid: uid }));
      const as = ["setpriv", `--reuid=${NOBODY}`, `--regid=${NOBODY}`, "--clear-groups", process.execPath, MAIN];
      const child = Bun.spawn([...as, "systemd-import", "tar", "--user", `--image-root=${root}`, path, name], {
        stdio: ["ignore", "ignore", "pipe"],
      });
      return [await child.exited, await child.stderr.text()] as const;
    };
    expect((await importAs("own", NOBODY))[0]).toBe(0);
    const [code, log] = await importAs("other", 1000);
    expect([code, log]).toEqual([
      1,
      expect.stringContaining("Archive has files of user 1000 and group 1000, and only root"),
    ]);
    expect(entries(root)).toEqual(["own"]);
  },
);

rootTest("a user's own image may have directories that their owner may not change, and is replaced", async () => {
  const root = scratch.root();
  mkdirSync(root);
  chownSync(root, NOBODY, NOBODY);
  chmodSync(scratch.path, 0o755);
  const own = { uid: NOBODY, gid: NOBODY };
  const path = file(
    "fixed.tar",
    archive(
      { name: "os/", type: "5", mode: 0o555, ...own },
      { name: "os/etc/", type: "5", mode: 0o555, ...own },
      { name: "os/etc/os-release", data: "ID=x\n", ...own },
      { name: "os/bin/", type: "5", mode: 0o555, ...own },
      { name: "os/bin/sh", data: "x", ...own },
      { name: "os/closed/", type: "5", mode: 0, ...own },
      { name: "os/closed/inner/", type: "5", mode: 0o400, ...own },
      { name: "os/closed/inner/file", data: "x", ...own },
    ),
  );
  const as = ["setpriv", `--reuid=${NOBODY}`, `--regid=${NOBODY}`, "--clear-groups", process.execPath, MAIN];
  for (const options of [[], ["--force"]]) {
    const command = [...as, "systemd-import", "tar", "--user", `--image-root=${root}`, ...options, path, "fixed"];
    const child = Bun.spawn(command, { stdio: ["ignore", "ignore", "pipe"] });
    expect([await child.exited, await child.stderr.text()]).toEqual([0, expect.stringContaining("completed")]);
    const modes = [".", "etc", "bin", "closed", "closed/inner"].map(
      (name) => lstatSync(join(root, "fixed", name)).mode,
    );
    expect(modes.map((mode) => mode & 0o7777)).toEqual([0o555, 0o555, 0o555, 0, 0o400]);
    expect(entries(root)).toEqual(["fixed"]);
  }
});

rootTest("I102: an existing image is not replaced, unless --force is given", async () => {
  const root = scratch.root();
  const path = file("t.tar", TREE);
  expect((await importing("tar", root, path, "n")).code).toBe(0);
  const again = await importing("tar", root, path, "n");
  expect([again.code, again.log]).toEqual([1, "Image 'n' already exists.\nExiting.\n"]);
  const raw = await importing("raw", root, file("d.raw", DISK), "n");
  expect(raw.log).toContain("Image 'n' already exists.");
  const other = file("o.tar", archive({ name: "other", data: "x" }));
  expect((await importing("tar", root, "--force", other, "n")).code).toBe(0);
  expect([existsSync(join(root, "n/other")), existsSync(join(root, "n/f"))]).toEqual([true, false]);
  expect(entries(root)).toEqual(["n"]);
  for (const bad of [".#x", "a/b", "..", "a\u0001"]) {
    expect((await importing("tar", root, path, "--", bad)).log).toContain("is not valid");
  }
});

rootTest("I103: --read-only makes trees and files read-only, and --force replaces them", async () => {
  const root = scratch.root();
  expect((await importing("tar", root, "--read-only", file("t.tar", TREE), "tree")).code).toBe(0);
  expect((await importing("raw", root, "--read-only", file("d.raw", DISK), "disk")).code).toBe(0);
  {
    using tree = openPath(join(root, "tree"), "directory");
    const flags = fileFlags(tree);
    if (flags !== null) expect(flags & FILE_FLAG.immutable).toBe(FILE_FLAG.immutable);
  }
  expect(statSync(join(root, "disk.raw")).mode & 0o777).toBe(0o444);
  expect((await importing("tar", root, "--force", file("t.tar", TREE), "tree")).code).toBe(0);
  expect(entries(root)).toEqual(["disk.raw", "tree"]);
});

rootTest("I92: the only directory at the top, when it is an OS tree, becomes the top", async () => {
  const root = scratch.root();
  const nested = archive(
    { name: "os", type: "5", mode: 0o710, uid: 3, mtime: 86400 },
    { name: "os/etc/os-release", data: "ID=x" },
    { name: "os/os", data: "same name" },
  );
  expect((await importing("tar", root, file("nested.tar", nested), "a")).code).toBe(0);
  expect(readFileSync(join(root, "a/os"), "utf8")).toBe("same name");
  expect([lstatSync(join(root, "a")).mode & 0o777, lstatSync(join(root, "a")).uid]).toEqual([0o710, 3]);
  const plain = archive({ name: "dir/file", data: "no OS" });
  expect((await importing("tar", root, file("plain.tar", plain), "b")).code).toBe(0);
  expect(existsSync(join(root, "b/dir/file"))).toBe(true);
  const linked = archive({ name: "os/etc/os-release", type: "2", target: "/etc/passwd" });
  expect((await importing("tar", root, file("linked.tar", linked), "c")).code).toBe(0);
  expect(lstatSync(join(root, "c")).isDirectory()).toBe(true);
});

rootTest("I104: disk images keep their holes, times and attributes, compressed or not", async () => {
  const root = scratch.root();
  const path = file("d.raw", DISK);
  utimesSync(path, 1e9, 1e9);
  expect((await importing("raw", root, path, "plain")).code).toBe(0);
  expect((await importing("raw", root, file("p.raw.gz", gzipSync(DISK)))).code).toBe(0);
  for (const name of ["plain.raw", "p.raw"]) {
    expect(readFileSync(join(root, name)).equals(DISK)).toBe(true);
  }
  expect(statSync(join(root, "p.raw")).blocks * 512).toBeLessThan(1 << 20);
  expect(statSync(join(root, "plain.raw")).mtimeMs).toBe(1e12);
  expect(statSync(join(root, "plain.raw")).mode & 0o777).toBe(0o644);
});

rootTest("I118, I119, I120, I123: an image that is exported and imported is the same", async () => {
  const root = scratch.root();
  await importing("tar", root, file("t.tar", TREE), "tree");
  await importing("raw", root, file("d.raw", DISK), "disk");
  for (const suffix of ["", ".gz", ".xz", ".bz2", ".zst"]) {
    const [tar, raw] = [join(scratch.path, `out.tar${suffix}`), join(scratch.path, `out.raw${suffix}`)];
    expect((await exporting("tar", root, "tree", tar)).code).toBe(0);
    expect((await exporting("raw", root, "disk", raw)).code).toBe(0);
    const back = scratch.root();
    expect((await importing("tar", back, tar, "t")).code).toBe(0);
    expect((await importing("raw", back, raw, "d")).code).toBe(0);
    expect(Bun.spawnSync(["diff", "-r", join(root, "tree"), join(back, "t")]).exitCode).toBe(0);
    expect(readFileSync(join(back, "d.raw")).equals(DISK)).toBe(true);
  }
  const { stdout } = await exporting("tar", root, "--format=gzip", "tree");
  expect(Buffer.from(Bun.gunzipSync(new Uint8Array(stdout))).includes("os-release")).toBe(true);
  expect((await exporting("raw", root, "none")).log).toBe("Image none not found.\nExiting.\n");
  expect((await exporting("raw", root, "--format=rar", "disk")).log).toContain("Unknown format: rar");
});

rootTest("I120: imports and exports work with blocking and with non-blocking pipes", async () => {
  const root = scratch.root();
  const big = archive({ name: "big", data: randomBytes(3 << 20) });
  await importing("tar", root, file("big.tar", big), "big");
  const main = `${process.execPath} ${join(import.meta.dir, "../../src/main.ts")}`;
  const quiet = `
import fcntl, os, subprocess, sys
r, w = os.pipe()
for fd in (r, w):
    fcntl.fcntl(fd, fcntl.F_SETFL, fcntl.fcntl(fd, fcntl.F_GETFL) | os.O_NONBLOCK)
a = subprocess.Popen("${main} systemd-export tar --image-root=${root} big", shell=True, stdout=w)
b = subprocess.Popen("${main} systemd-import tar --image-root=${root} - nonblocking", shell=True, stdin=r)
os.close(r); os.close(w)
sys.exit(a.wait() + b.wait())`;
  const { exitCode } = Bun.spawnSync(["python3", "-c", quiet]);
  expect(exitCode).toBe(0);
  const piped = Bun.spawnSync(
    [
      "sh",
      "-c",
      `${main} systemd-export tar --image-root=${root} big | ${main} systemd-import tar --image-root=${root} - piped`,
    ],
    { stderr: "ignore" },
  );
  expect(piped.exitCode).toBe(0);
  for (const name of ["piped", "nonblocking"]) {
    expect(Bun.spawnSync(["diff", "-r", join(root, "big"), join(root, name)]).exitCode).toBe(0);
  }
});

rootTest("an export that is ended by a signal leaves no file of that name", async () => {
  const root = scratch.root();
  mkdirSync(root);
  writeFileSync(join(root, "big.raw"), "");
  truncateSync(join(root, "big.raw"), 8 * 1024 ** 3);
  const out = scratch.root();
  mkdirSync(out);
  const child = startWorker("systemd-export", ["raw", `--image-root=${root}`, "big", join(out, "big.raw.gz")]);
  await waitFor(() => expect(entries(out).length).toBe(1), "the export to begin");
  child.kill("SIGTERM");
  expect(await child.exited).toBe(4);
  expect(entries(out)).toEqual([]);
});

rootTest(
  "I112: a directory is imported as an image; files of a killed worker are removed by the next one",
  async () => {
    const root = scratch.root();
    const source = join(scratch.path, "source");
    mkdirSync(join(source, "d"), { recursive: true });
    writeFileSync(join(source, "d/f"), "x");
    symlinkSync("/nowhere", join(source, "l"));
    Bun.spawnSync(["ln", join(source, "d/f"), join(source, "hard")]);
    const run = (...args: string[]) => runWorker("systemd-import-fs", ["run", `--image-root=${root}`, ...args]);
    expect((await run(source, "copy")).code).toBe(0);
    expect(statSync(join(root, "copy/hard")).ino).toBe(statSync(join(root, "copy/d/f")).ino);
    const child = startWorker("systemd-import", ["tar", `--image-root=${root}`, join(scratch.path, "fifo"), "killed"]);
    child.kill("SIGKILL");
    await child.exited;
    mkdirSync(join(root, ".#tar0123456789abcdef"));
    symlinkSync("/nowhere", join(root, ".#fs0123456789abcdef"));
    writeFileSync(join(root, ".#raw0123456789abcdef"), "x");
    mkdirSync(join(root, ".#machine.copy0123456789abcdef"));
    expect((await run(source, "second")).code).toBe(0);
    expect(entries(root)).toEqual([".#machine.copy0123456789abcdef", "copy", "second"]);
    expect((await run("/dev/null", "x")).code).toBe(1);
  },
);

rootTest(
  "a directory with the directory of images in it is imported, without the image that is being made",
  async () => {
    const source = scratch.root();
    const root = join(source, "lib/machines");
    mkdirSync(join(root, "other"), { recursive: true });
    writeFileSync(join(source, "file"), "x");
    const { code, log } = await runWorker("systemd-import-fs", ["run", `--image-root=${root}`, source, "copy"]);
    expect([code, log]).toEqual([0, expect.stringContaining("Operation completed")]);
    expect(entries(join(root, "copy"))).toEqual(["file", "lib"]);
    const inner = readdirSync(join(root, "copy/lib/machines"));
    expect(inner.filter((name) => !name.endsWith(".lck"))).toEqual(["other"]);
  },
);

rootTest(
  "I113: an import of a directory can be ended by a signal during the copy",
  async () => {
    const root = scratch.root();
    const child = startWorker("systemd-import-fs", ["run", `--image-root=${root}`, "/usr", "usr"]);
    const copied = () => {
      const stage = entries(root).find((name) => name.startsWith(".#fs"));
      return stage === undefined ? [] : readdirSync(join(root, stage));
    };
    await waitFor(() => expect(copied()).not.toEqual([]), "the copy to begin");
    child.kill("SIGTERM");
    expect(await child.exited).toBe(4);
    expect(entries(root)).toEqual([]);
  },
  GUARD_MS,
);

rootTest("--force replaces a link by the image, and leaves the tree or file that it led to", async () => {
  const root = scratch.root();
  const elsewhere = join(scratch.path, "elsewhere");
  mkdirSync(root);
  mkdirSync(elsewhere);
  writeFileSync(join(elsewhere, "precious"), "");
  writeFileSync(join(scratch.path, "elsewhere.raw"), "precious");
  symlinkSync(elsewhere, join(root, "tree"));
  symlinkSync(`${elsewhere}.raw`, join(root, "disk.raw"));
  expect(await importing("tar", root, file("t.tar", TREE), "tree", "--force")).toMatchObject({ code: 0 });
  expect(await importing("raw", root, file("d.raw", "a disk image"), "disk", "--force")).toMatchObject({ code: 0 });
  expect([statSync(join(root, "tree")).ino, statSync(join(root, "disk.raw")).ino]).toEqual([
    lstatSync(join(root, "tree")).ino,
    lstatSync(join(root, "disk.raw")).ino,
  ]);
  expect(entries(root)).toEqual(["disk.raw", "tree"]);
  expect([entries(elsewhere), readFileSync(`${elsewhere}.raw`, "utf8")]).toEqual([["precious"], "precious"]);
});

rootTest("an image is new and whole where the one that it replaces cannot be removed", async () => {
  // Mounts on the files of the pool that are not in the pool itself: nobody sees them there.
  const [disk, root] = [scratch.root(), scratch.root()];
  for (const path of [disk, root]) mkdirSync(path);
  server.pages["t.tar"] = { body: archive({ name: "new", data: "x" }, { name: "inner/", type: "5", mode: 0o755 }) };
  const pull = () =>
    runWorker("systemd-pull", ["tar", "--verify=no", `--image-root=${root}`, server.url("t.tar"), "-"]);
  const local = ["tar", "--verify=no", `--image-root=${root}`, "--force", server.url("t.tar"), "image"];
  expect(Bun.spawnSync(["mount", "--bind", disk, root]).exitCode).toBe(0);
  const mounts = [root];
  try {
    expect((await pull()).code).toBe(0);
    const [kept = ""] = entries(root);
    mkdirSync(join(root, "image/inner"), { recursive: true });
    for (const name of [kept, "image"]) {
      const inner = join(disk, name, "inner");
      expect(Bun.spawnSync(["mount", "-t", "tmpfs", "tmpfs", inner]).exitCode).toBe(0);
      mounts.unshift(inner);
    }
    expect(await runWorker("systemd-pull", local)).toMatchObject({
      code: 0,
      log: expect.stringContaining("Failed to remove the former 'image'"),
    });
    expect(entries(root).filter((name) => !name.startsWith(".#"))).toEqual([kept, "image"]);
    expect([entries(join(root, kept)), entries(join(root, "image"))]).toEqual([
      ["inner", "new"],
      ["inner", "new"],
    ]);
  } finally {
    for (const path of mounts) Bun.spawnSync(["umount", "-l", path]);
    Bun.spawnSync(["umount", "-l", ...entries(disk).map((name) => join(disk, name, "inner"))]);
  }
});

rootTest("I117: invalid options are errors, and options in the environment are used", async () => {
  const root = scratch.root();
  const bad: readonly [string[], string][] = [
    [["frob"], "Unknown command verb 'frob'."],
    [["tar", "--frob"], "unrecognized option '--frob'"],
    [["tar", "--sync=maybe"], "Failed to parse --sync= argument: maybe"],
    [["tar"], "Too few arguments."],
    [["raw"], "Too few arguments."],
    [["tar", "a", "b", "c"], "Too many arguments."],
    [[], "Command verb required."],
    [["tar", "--force=yes"], "doesn't allow an argument"],
  ];
  for (const [args, text] of bad) {
    const { code, log } = await runWorker("systemd-import", args);
    expect([code, log]).toEqual([1, expect.stringContaining(text)]);
  }
  const help = await runWorker("systemd-import", ["--help"]);
  expect(help.stdout.toString()).toContain("--image-root=PATH");
  const env = { SYSTEMD_IMPORT_SYNC: "yes", SYSTEMD_IMPORT_BTRFS_SUBVOL: "no", SYSTEMD_IMPORT_BTRFS_QUOTA: "no" };
  expect((await runWorker("systemd-import", ["tar", `--image-root=${root}`, file("t.tar", TREE), "x"], env)).code).toBe(
    0,
  );
});

rootTest("on a full or read-only file system the error says so, and nothing stays on it", async () => {
  const root = scratch.root();
  mkdirSync(root);
  const mount = (...options: string[]) => expect(Bun.spawnSync(["mount", ...options, root]).exitCode).toBe(0);
  mount("-t", "tmpfs", "-o", "size=1m", "tmpfs");
  try {
    const tree = join(scratch.path, "large");
    mkdirSync(tree);
    writeFileSync(join(tree, "f"), randomBytes(2 << 20));
    const runs = () =>
      Promise.all([
        importing("raw", root, file("large.raw", gzipSync(randomBytes(2 << 20))), "a"),
        importing("tar", root, file("large.tar", archive({ name: "f", data: randomBytes(2 << 20) })), "b"),
        runWorker("systemd-import-fs", ["run", `--image-root=${root}`, tree, "c"]),
        runWorker("systemd-pull", [
          "tar",
          "--verify=no",
          `--image-root=${root}`,
          `file://${join(scratch.path, "large.tar")}`,
          "d",
        ]),
      ]);
    for (const { code, log } of await runs()) {
      expect([code, log]).toEqual([1, expect.stringContaining(": No space left on device\n")]);
    }
    expect(entries(root)).toEqual([]);
    mount("-o", "remount,ro");
    for (const [index, { code, log }] of (await runs()).entries()) {
      const name = "abcd"[index];
      expect([code, log]).toEqual([
        1,
        expect.stringMatching(new RegExp(`open ".*/\\.#${name}\\.lck": Read-only file system\n`)),
      ]);
    }
  } finally {
    Bun.spawnSync(["umount", "-l", root]);
  }
});
