import { expect, test } from "bun:test";
import {
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { openPath } from "../../../src/kernel/file/fd.ts";
import { SyscallError } from "../../../src/kernel/syscall/sys.ts";
import { copyMerging } from "../../../src/kernel/tree/copy-merge.ts";
import { KEEP_OWNERS, type OwnerPolicy } from "../../../src/kernel/tree/owner-policy.ts";
import { rawOf } from "../../../src/kernel/tree/tree.ts";
import { expectNothingLeft, openDescriptors } from "../../lib/descriptors.ts";
import { mountFull } from "../../lib/full-file-system.ts";
import { havePrograms } from "../../lib/programs.ts";
import { GUARD_MS } from "../../lib/wait-for.ts";
import { rootTest } from "../support.ts";
import { describeTree, makeDeep, makeEverything, mountedFileSystem, run, treeDirectory } from "../tree-support.ts";

const directory = treeDirectory();
const TEMPORARY = ".#copy-test";
const COPIES = 100;

interface Wanted {
  readonly replace?: boolean;
  readonly policy?: OwnerPolicy;
  /** Called before each entry is made. */
  onEntry?(): void;
}

function copy(from: string, to: string, { replace = false, policy = KEEP_OWNERS, onEntry }: Wanted = {}): number {
  using source = openPath(dirname(from), "directory");
  using target = openPath(dirname(to), "directory");
  const before = process.umask(0);
  let bytes = 0;
  const onBytes = (count: number) => {
    if (count === 0) onEntry?.();
    bytes += count;
  };
  try {
    copyMerging(
      { directory: source, name: rawOf(basename(from)) },
      { directory: target, name: rawOf(basename(to)), temporary: TEMPORARY },
      { policy, replace, onBytes },
    );
  } finally {
    process.umask(before);
  }
  return bytes;
}

function makeTree(name: string, files: Readonly<Record<string, string>>): string {
  const top = join(directory, name);
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(top, path)), { recursive: true });
    writeFileSync(join(top, path), text);
  }
  return top;
}

rootTest("a copy has every kind of file, name, owner, mode, time, attribute, link and hole of the original", () => {
  const [from, to] = [join(directory, "all"), join(directory, "all-copy")];
  makeEverything(from);
  const before = openDescriptors();
  copy(from, to);
  expect(describeTree(to)).toBe(describeTree(from));
  run("cp", "-a", from, join(directory, "all-cp"));
  expect(describeTree(to)).toBe(describeTree(join(directory, "all-cp")));
  expectNothingLeft(before);
});

rootTest("an entry that exists in a new tree already is kept, or replaced; it may be an entry of the copy", () => {
  const from = makeTree("taken", { file: "file", "d/file": "file" });
  symlinkSync("target", join(from, "link"));
  linkSync(join(from, "file"), join(from, "hard"));
  for (const replace of [false, true]) {
    const to = join(directory, `taken-${replace}`);
    const names = ["file", "link", "hard"];
    const onEntry = () => {
      // On a case-insensitive file system, another entry of the copy has that name.
      for (const name of names.splice(0)) writeFileSync(join(directory, TEMPORARY, name), "other");
    };
    // Before the first entry inside the tree: the first call is for the tree itself, unless it may be replaced.
    let calls = replace ? 1 : 0;
    copy(from, to, { replace, onEntry: () => calls++ > 0 && onEntry() });
    expect(names).toEqual([]);
    expect(readFileSync(join(to, "file"), "utf8")).toBe(replace ? "file" : "other");
    expect(readFileSync(join(to, "hard"), "utf8")).toBe(replace ? "file" : "other");
    expect(lstatSync(join(to, "link")).isSymbolicLink()).toBe(replace);
    expect(readFileSync(join(to, "d/file"), "utf8")).toBe("file");
    expect(readdirSync(to).sort()).toEqual(["d", "file", "hard", "link"]);
  }
});

rootTest("copying again with replace makes the same files again; existing directories keep their times", () => {
  const to = join(directory, "all-copy");
  copy(join(directory, "all"), to, { replace: true });
  const files = (path: string) =>
    describeTree(path)
      .split("\n")
      .filter((line) => !/'0o4\d+'/.test(line));
  expect(files(to)).toEqual(files(join(directory, "all")));
  expect(readdirSync(directory).filter((name) => name.startsWith(".#"))).toEqual([]);
});

for (const type of ["ext4", "btrfs"] as const) {
  rootTest(`a copy from another file system (${type}), and back, is complete`, () => {
    const mount = mountedFileSystem(type, 256);
    if (mount === null) return;
    const from = join(directory, "all");
    copy(from, join(mount, "there"));
    copy(join(mount, "there"), join(directory, `back-${type}`));
    expect(describeTree(join(directory, `back-${type}`))).toBe(describeTree(from));
  });
}

rootTest("attributes that are too large for the other file system are left out", () => {
  const mount = mountedFileSystem("btrfs", 256);
  if (mount === null) return;
  const file = join(mount, "file");
  writeFileSync(file, "content");
  run("python3", "-c", "import os, sys; os.setxattr(sys.argv[1], 'user.large', bytes(8000))", file);
  const to = join(directory, "without-large");
  copy(file, to);
  expect(readFileSync(to, "utf8")).toBe("content");
});

test("directories are merged: existing entries stay, missing ones are added", () => {
  const from = makeTree("merge", { "a/new": "new", "a/both": "theirs", "b/c/d": "deep" });
  const to = makeTree("merge-to", { "a/both": "ours", "a/old": "old", "b/c": "a file where a directory comes" });
  copy(from, to);
  expect(readFileSync(join(to, "a/new"), "utf8")).toBe("new");
  expect(readFileSync(join(to, "a/both"), "utf8")).toBe("ours");
  expect(readFileSync(join(to, "a/old"), "utf8")).toBe("old");
  expect(lstatSync(join(to, "b/c")).isFile()).toBe(true);
});

test("with replace, files are replaced by files and directories, but a directory is not replaced by a file", () => {
  const from = makeTree("replace", { "a/both": "theirs", "b/c/d": "deep", e: "file" });
  const to = makeTree("replace-to", { "a/both": "ours", "b/c": "a file", "e/f": "in a directory" });
  expect(() => copy(from, to, { replace: true })).toThrow('create "e": Is a directory');
  expect(readFileSync(join(to, "a/both"), "utf8")).toBe("theirs");
  expect(readFileSync(join(to, "b/c/d"), "utf8")).toBe("deep");
  expect(readFileSync(join(to, "e/f"), "utf8")).toBe("in a directory");
});

test("a single file is overwritten only with replace, and then gets another inode", () => {
  const from = makeTree("single", { file: "theirs" });
  const to = makeTree("single-to", { file: "ours" });
  linkSync(join(to, "file"), join(to, "other-name"));
  expect(() => copy(join(from, "file"), join(to, "file"))).toThrow("File exists");
  copy(join(from, "file"), join(to, "file"), { replace: true });
  expect(readFileSync(join(to, "file"), "utf8")).toBe("theirs");
  expect(readFileSync(join(to, "other-name"), "utf8")).toBe("ours");
});

test("a link at the end of the source or the target path is copied or refused, never followed", () => {
  const top = makeTree("links", { victim: "safe", "from/file": "evil" });
  symlinkSync("../victim", join(top, "from/link"));
  mkdirSync(join(top, "to"));
  symlinkSync("../victim", join(top, "to/link"));
  copy(join(top, "from/link"), join(top, "to/copied"));
  expect(lstatSync(join(top, "to/copied")).isSymbolicLink()).toBe(true);
  expect(() => copy(join(top, "from/file"), join(top, "to/link"))).toThrow("File exists");
  copy(join(top, "from/file"), join(top, "to/link"), { replace: true });
  expect(readFileSync(join(top, "victim"), "utf8")).toBe("safe");
  expect(lstatSync(join(top, "to/link")).isFile()).toBe(true);
});

test("hard links stay hard links, across directories", () => {
  const from = makeTree("hard", { "a/one": "x" });
  mkdirSync(join(from, "b"));
  for (const name of ["b/two", "three", "a/\u00fcml\u00e4ut"]) linkSync(join(from, "a/one"), join(from, name));
  const to = join(directory, "hard-copy");
  copy(from, to);
  const inodes = ["a/one", "b/two", "three", "a/\u00fcml\u00e4ut"].map((name) => lstatSync(join(to, name)).ino);
  expect(new Set(inodes).size).toBe(1);
  expect(lstatSync(join(to, "three")).nlink).toBe(4);
});

test("files that report no size are copied to their end, and the bytes of large files are counted", () => {
  const to = join(directory, "version");
  copy("/proc/version", to);
  expect(readFileSync(to)).toEqual(readFileSync("/proc/version"));
  const big = join(directory, "big");
  writeFileSync(big, Buffer.alloc(20 << 20, 7));
  expect(copy(big, join(directory, "big-copy"))).toBeOneOf([20 << 20, 0]); // 0 where the file system shares the data
  expect(readFileSync(join(directory, "big-copy")).equals(readFileSync(big))).toBe(true);
});

rootTest("bytes for which the other file system turns out to have no room fail the copy", async () => {
  if (!havePrograms("copies to a full FUSE file system", "python3")) return;
  using full = await mountFull(join(directory, "mount"));
  const from = makeTree("for-full", { file: "text" });
  const error = "No space left on device";
  expect(() => copy(join(from, "file"), join(full.path, "file"))).toThrow(error);
  expect(() => copy(from, join(full.path, "tree"))).toThrow(error);
  expect(() => copy("/proc/self/status", join(full.path, "status"))).toThrow(error);
  expect(readdirSync(full.path)).toEqual([]);
});

test("files of /sys, which say that they have a page, are copied to the end of their content", () => {
  const [from, to] = ["/sys/class/net/lo/mtu", join(directory, "mtu")];
  copy(from, to);
  expect(readFileSync(to, "utf8")).toBe(readFileSync(from, "utf8"));
  // As files of a new tree.
  copy("/sys/class/net/lo/statistics", join(directory, "statistics"));
  expect(readFileSync(join(directory, "statistics/collisions"), "utf8")).toBe("0\n");
});

test("a tree of any depth is copied", () => {
  makeDeep(join(directory, "deep"), 3000);
  copy(join(directory, "deep"), join(directory, "deep-copy"));
  expect(run("find", join(directory, "deep-copy"), "-type", "f").trim().split("\n")).toHaveLength(3);
});

test("a tree that is copied into itself does not contain the copy again", () => {
  const from = makeTree("self", { "a/file": "x" });
  copy(from, join(from, "a/inner"));
  expect(readFileSync(join(from, "a/inner/a/file"), "utf8")).toBe("x");
  expect(existsSync(join(from, "a/inner/a/inner"))).toBe(false);
});

rootTest("a copy that fails leaves no incomplete target", () => {
  const small = mountedFileSystem("ext4", 8);
  if (small === null) return;
  const from = makeTree("too-big", { "a/small": "x" });
  writeFileSync(join(from, "a/zbig"), Buffer.alloc(32 << 20, 1));
  expect(() => copy(from, join(small, "there"))).toThrow("No space left on device");
  expect(() => copy(join(from, "a/zbig"), join(small, "file"))).toThrow("No space left on device");
  expect(readdirSync(small)).toEqual(["lost+found"]);
});

rootTest("M129 with a forced owner, everything belongs to it, and ids in ACLs are shifted", () => {
  const from = join(directory, "all");
  const [to, back] = [join(directory, "shifted"), join(directory, "unshifted")];
  const SHIFT = 524_288;
  copy(from, to, { policy: { owner: { uid: SHIFT, gid: SHIFT }, shift: SHIFT, dropsPrivileges: false } });
  expect(run("find", to, "!", "-uid", String(SHIFT), "-o", "!", "-gid", String(SHIFT))).toBe("");
  expect(run("python3", "-c", ACL_IDS, join(to, "owned")).trim()).toBe(`[${SHIFT + 1234}]`);
  copy(to, back, { policy: { owner: { uid: 0, gid: 0 }, shift: -SHIFT, dropsPrivileges: true } });
  expect(run("find", back, "!", "-uid", "0", "-o", "!", "-gid", "0")).toBe("");
  expect(run("python3", "-c", ACL_IDS, join(back, "owned")).trim()).toBe("[1234]");
});

const ACL_IDS = `
import os, struct, sys
acl = os.getxattr(sys.argv[1], "system.posix_acl_access")
print([i for t, p, i in struct.iter_unpack("<HHI", acl[4:]) if t in (2, 8)])
`;

rootTest("a copy from a machine to the host drops set-user-ID and capabilities", () => {
  const [to, back] = [join(directory, "shifted/setuid"), join(directory, "unshifted/setuid")];
  expect(lstatSync(to).mode & 0o7000).toBe(0o4000);
  expect(lstatSync(back).mode & 0o7777).toBe(0o755);
  expect(run("python3", "-c", "import os,sys;print(os.listxattr(sys.argv[1]))", back).trim()).toBe("[]");
  // Directories keep the set-group-ID and sticky bits, which give no privileges.
  expect(lstatSync(join(directory, "unshifted/dir")).mode & 0o7777).toBe(0o1777);
});

const FLIPPER = `
import ctypes, os, sys
os.chdir(sys.argv[1])
swap = lambda a, b: ctypes.CDLL(None).renameat2(-100, a, -100, b, 2)
print("ready", flush=True)
while True:
    for other in (b"out", b"up", b"else"):
        swap(b"tree/d", other); swap(b"tree/d", other)
    swap(b"tree/f", b"out-file"); swap(b"tree/f", b"out-file")
    swap(b"tree", b"else"); swap(b"tree", b"else")
`;

rootTest(
  "links that appear and vanish during a copy never lead out of the source or the target tree",
  async () => {
    const outside = makeTree("outside", { "d/secret": "SECRET", secret: "SECRET" });
    const hostile = makeTree("hostile", { "tree/d/secret": "inside", "tree/f": "inside", "else/d/secret": "inside" });
    symlinkSync(join(outside, "d"), join(hostile, "out"));
    symlinkSync(join("../../outside/d"), join(hostile, "up"));
    symlinkSync(join(outside, "secret"), join(hostile, "out-file"));
    const planted = makeTree("planted", { "d/planted": "x", f: "x", "d/deeper/planted": "x" });
    run("mkfifo", "-m", "666", join(planted, "d/fifo"));
    linkSync(join(planted, "f"), join(planted, "d/hard"));
    const untouched = describeTree(outside);
    await using flipper = Bun.spawn(["python3", "-c", FLIPPER, hostile], { stdout: "pipe" });
    await flipper.stdout.getReader().read();
    let whole = 0;
    for (let copies = 0; copies < COPIES; copies++) {
      const out = join(directory, `victim-${copies % 50}`);
      for (const step of [
        () => copy(join(hostile, "tree"), out, { replace: true }),
        () => copy(join(hostile, "tree/f"), `${out}-f`, { replace: true }),
        () => copy(planted, join(hostile, "tree"), { replace: true }),
      ]) {
        try {
          step();
          whole++;
        } catch (error) {
          // The entry may be of any kind at that moment, but it must be inside the tree.
          if (!(error instanceof SyscallError)) throw error;
        }
      }
    }
    expect(flipper.exitCode).toBeNull();
    flipper.kill("SIGKILL");
    await flipper.exited;
    expect(whole).toBeGreaterThan(0);
    expect(describeTree(outside)).toBe(untouched);
    // A link may be copied as a link, which is not followed here: only what regular files contain was read.
    const victims = readdirSync(directory).filter((name) => name.startsWith("victim"));
    const search = ["find", ...victims, "-type", "f", "-exec", "grep", "-l", "SECRET", "{}", "+"];
    const found = Bun.spawnSync(search, { cwd: directory });
    expect(found.stdout.toString()).toBe("");
  },
  GUARD_MS,
);
