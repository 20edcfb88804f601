// Trees for the tests of copying and removing: a tree with one of everything, an independent description of a tree, and
// file systems in a file. Python describes the trees, because it supports names that are not UTF-8.
import { afterAll } from "bun:test";
import { mkdirSync, mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { havePrograms } from "../lib/programs.ts";
import { GUARD_MS } from "../lib/wait-for.ts";

/** A Python program that prints all metadata of a tree. */
export const DESCRIBE = `
import hashlib, os, stat, sys
top = os.fsencode(sys.argv[1])
groups = {}
def describe(path, shown):
    s = os.lstat(path)
    kind = stat.S_IFMT(s.st_mode)
    row = [shown, oct(s.st_mode), s.st_uid, s.st_gid, s.st_mtime_ns]
    if kind == stat.S_IFREG:
        with open(path, "rb") as f: row += [s.st_size, hashlib.sha256(f.read()).hexdigest()[:12]]
        row.append("holes" if s.st_blocks * 512 < s.st_size else "full")
    if kind == stat.S_IFLNK: row.append(os.readlink(path))
    if kind in (stat.S_IFCHR, stat.S_IFBLK): row.append(s.st_rdev)
    if kind != stat.S_IFDIR and s.st_nlink > 1: row.append("same as " + repr(groups.setdefault(s.st_ino, shown)))
    names = sorted(os.listxattr(path, follow_symlinks=False))
    row.append([(n, os.getxattr(path, n, follow_symlinks=False)) for n in names])
    print(row)
    if kind == stat.S_IFDIR:
        for name in sorted(os.listdir(path)): describe(os.path.join(path, name), shown + b"/" + name)
describe(top, b"")
`;

const EVERYTHING = `
import os, socket, struct, sys
top = sys.argv[1]
os.makedirs(top)
os.chdir(top)
def put(name, data=b"x", mode=0o644):
    with open(name, "wb") as f: f.write(data)
    os.chmod(name, mode)
put("plain", b"hello")
put("empty", b"")
put("setuid", b"#!", 0o4755)
put("owned"); os.chown("owned", 1234, 5678)
put("huge-owner"); os.chown("huge-owner", 4000000000, 3000000000)
with open("holes", "wb") as f:
    f.write(b"a" * 4096); f.seek(1 << 20); f.write(b"b" * 4096); f.truncate(3 << 20)
with open("only-hole", "wb") as f: f.truncate(1 << 20)
os.mkdir("dir", 0o1777); os.chmod("dir", 0o1777)
os.mkdir("dir/locked"); put("dir/locked/inside"); os.chmod("dir/locked", 0)
os.link("plain", "dir/other-name"); os.link("plain", "third-name")
os.symlink("no/such/target", "dangling"); os.symlink("/etc/passwd", "absolute"); os.symlink("plain", b"link-\\xff")
os.link("dangling", "dir/dangling-too", follow_symlinks=False)
put(b"bytes-\\xff\\xfe"); put("with\\nnewline"); put("n" * 255)
os.mkfifo("fifo", 0o640)
socket.socket(socket.AF_UNIX).bind("socket")
os.mknod("null", 0o20666, os.makedev(1, 3)); os.mknod("block", 0o60660, os.makedev(250, 300))
os.setxattr("plain", "user.note", b"\\0binary\\xff")
os.setxattr("plain", "trusted.secret", b"t")
os.setxattr("dir", "user.note", b"of a directory")
os.setxattr("dangling", "trusted.link", b"l", follow_symlinks=False)
# cap_net_raw+ep, as ping has it
os.setxattr("setuid", "security.capability", struct.pack("<5I", 0x02000001, 1 << 13, 0, 0, 0))
acl = struct.pack("<I", 2) + b"".join(struct.pack("<HHI", t, p, i) for t, p, i in
  [(1, 6, 0xffffffff), (2, 4, 1234), (4, 4, 0xffffffff), (16, 4, 0xffffffff), (32, 0, 0xffffffff)])
os.setxattr("owned", "system.posix_acl_access", acl)
os.setxattr("dir", "system.posix_acl_default", acl)
for path, dirs, files in os.walk(".", topdown=False):
    for name in dirs + files: os.utime(os.path.join(path, name), ns=(1, 1500000000123456789), follow_symlinks=False)
os.utime(".", ns=(1, 1400000000000000001))
`;

const DEEP = `
import os, sys
os.makedirs(sys.argv[1]); fd = os.open(sys.argv[1], os.O_RDONLY)
for i in range(int(sys.argv[2])):
    os.mkdir("d", dir_fd=fd)
    if i % 1000 == 0: os.close(os.open("f", os.O_CREAT | os.O_WRONLY, dir_fd=fd))
    inner = os.open("d", os.O_RDONLY, dir_fd=fd); os.close(fd); fd = inner
`;

/** Runs a command and returns its output; throws with its standard error when it fails. */
export function run(...command: string[]): string {
  const { exitCode, stdout, stderr } = Bun.spawnSync(command, {
    env: { PATH: process.env["PATH"] ?? "", LC_ALL: "C" },
  });
  if (exitCode !== 0) throw new Error(`${command.slice(0, 2).join(" ")}: ${stderr}`);
  return stdout.toString();
}

/** A directory that is removed after the tests, also when its content is deep, immutable or a mount named `mount`. */
export function treeDirectory(): string {
  const path = mkdtempSync(join(tmpdir(), "kernel-test-tree-"));
  const clean = `umount -l '${path}/mount'; chattr -R -i '${path}'; rm -rf '${path}'`;
  afterAll(() => void Bun.spawnSync(["sh", "-c", clean], { stderr: "ignore" }), GUARD_MS);
  return path;
}

/** All metadata of a tree, a line for each file, without the path of the tree. */
export function describeTree(path: string): string {
  return run("python3", "-c", DESCRIBE, path);
}

/** Makes a tree with every kind of file, name, owner, attribute and link. */
export function makeEverything(path: string): void {
  run("python3", "-c", EVERYTHING, path);
}

/** Makes a chain of directories, with a file in every thousandth. */
export function makeDeep(path: string, levels: number): void {
  run("python3", "-c", DEEP, path, String(levels));
}

/** A mounted file system of a type, in a file; unmounted after the tests. Null where it cannot be made here. */
export function mountedFileSystem(type: "btrfs" | "ext4", megabytes: number): string | null {
  if (!havePrograms(`what is tested on ${type}`, `mkfs.${type}`)) return null;
  const directory = treeDirectory();
  const [image, mount] = [join(directory, "image"), join(directory, "mount")];
  mkdirSync(mount);
  run("truncate", "-s", `${megabytes}M`, image);
  run(`mkfs.${type}`, "-q", image);
  run("mount", "-o", "loop", image, mount);
  return mount;
}
