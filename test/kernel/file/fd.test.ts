import { expect, test } from "bun:test";
import { chmodSync, mkdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { readSome, writeSome } from "../../../src/kernel/file/byte-io.ts";
import { listDirectory, makeDirectory, removeDirectory, unlink } from "../../../src/kernel/file/directory-entry.ts";
import {
  Fd,
  hasFreeDescriptors,
  openAt,
  openBeneath,
  openInRoot,
  openPath,
  readLinkAt,
  reopen,
  setNonblocking,
  statAt,
  statFd,
  statPath,
} from "../../../src/kernel/file/fd.ts";
import { fileSystemOf } from "../../../src/kernel/file/file-system.ts";
import { readFileIn, readRegular } from "../../../src/kernel/file/regular-file.ts";
import { isErrno, sys } from "../../../src/kernel/syscall/sys.ts";
import { expectNothingLeft, LEAK_ROUNDS, openDescriptors } from "../../lib/descriptors.ts";
import { withoutDescriptors } from "../../lib/no-descriptors.ts";
import { MANY, scratchDirectory, targetOf } from "../support.ts";

const directory = scratchDirectory();
const root = join(directory, "root");
mkdirSync(join(root, "etc"), { recursive: true });
writeFileSync(join(directory, "secret"), "host");
writeFileSync(join(root, "etc/os-release"), "ID=test\n");
symlinkSync("/etc/os-release", join(root, "absolute"));
symlinkSync("../../../../../../etc/os-release", join(root, "etc/upwards"));
symlinkSync("/secret", join(root, "outside"));
symlinkSync("/proc/self/root/etc/passwd", join(root, "magic"));
Bun.spawnSync(["mkfifo", join(root, "fifo")]);

const nameOf = (call: () => unknown): string => {
  try {
    call();
    return "none";
  } catch (error) {
    return isErrno(error, "") ? "" : (error as { errnoName: string }).errnoName;
  }
};

test("an Fd is closed once, and refuses use afterwards", () => {
  const fd = openPath("/dev/null", "read");
  expect(fd.isOpen).toBe(true);
  fd.close();
  fd.close();
  expect(fd.isOpen).toBe(false);
  expect(() => fd.number).toThrow("Bad file descriptor");
  // The number may belong to another file by now, which must not be closed.
  const taken = openPath("/dev/null", "read").take();
  expect(sys("fcntl", taken, 1)).toBe(1);
  sys("close", taken);
});

test("take() moves the descriptor, duplicate() makes another, both close-on-exec", () => {
  using first = openPath("/dev/null", "read");
  using second = first.duplicate();
  expect(second.number).not.toBe(first.number);
  const [F_GETFD, FD_CLOEXEC] = [1, 1];
  for (const fd of [first, second]) expect(sys("fcntl", fd.number, F_GETFD)).toBe(FD_CLOEXEC);
  const taken = Fd.adopt(second.take());
  expect(second.isOpen).toBe(false);
  expect(targetOf(taken.number)).toBe("/dev/null");
  sys("fcntl", taken.number, 2, 0);
  using inherited = Fd.inherited(taken.take());
  expect(sys("fcntl", inherited.number, F_GETFD)).toBe(FD_CLOEXEC);
});

test("the watch is stopped before the descriptor is closed, and only once", () => {
  const seen: string[] = [];
  const fd = openPath("/dev/null", "read");
  fd.onClose({ stop: () => seen.push(targetOf(fd.number)) });
  fd.close();
  fd.close();
  expect(seen).toEqual(["/dev/null"]);
});

test("a missing file is an error that names it", () => {
  expect(() => openPath("/no/such", "read")).toThrow('open "/no/such": No such file or directory');
  expect(() => statPath("/no/such")).toThrow('stat "/no/such": No such file or directory');
  expect(() => statPath("")).toThrow("No such file or directory");
});

test("openInRoot follows links as processes with that root directory would", () => {
  using inside = openPath(root, "path");
  expect(readFileIn(inside, "/absolute", 100).toString()).toBe("ID=test\n");
  expect(readFileIn(inside, "etc/upwards", 100).toString()).toBe("ID=test\n");
  expect(nameOf(() => openInRoot(inside, "/outside", "read"))).toBe("ENOENT");
  expect(nameOf(() => openInRoot(inside, "/../secret", "read"))).toBe("ENOENT");
  using host = openPath("/", "path");
  expect(nameOf(() => openInRoot(host, "/proc/self/root/etc/passwd", "read"))).toBe("ELOOP");
});

test("openBeneath refuses paths that leave the directory, and links", () => {
  using inside = openPath(root, "directory");
  openBeneath(inside, "etc/os-release", "read").close();
  expect(nameOf(() => openBeneath(inside, "../secret", "read"))).toBe("EXDEV");
  expect(nameOf(() => openBeneath(inside, "absolute", "read"))).toBe("ELOOP");
  using etc = openAt(inside, "etc", "directory");
  expect(
    listDirectory(etc)
      .map((entry) => `${entry.name} ${entry.kind}`)
      .sort(),
  ).toEqual(["os-release regular", "upwards symlink"]);
});

test("readFileIn opens neither fifos nor devices, and reads no more than its limit", () => {
  using inside = openPath(root, "path");
  expect(() => readFileIn(inside, "/fifo", 100)).toThrow("Not a regular file");
  expect(() => readFileIn(inside, "/etc", 100)).toThrow("Not a regular file");
  expect(nameOf(() => readFileIn(inside, "/etc/os-release", 7))).toBe("EFBIG");
  expect(readFileIn(inside, "/etc/os-release", 8).length).toBe(8);
  using zero = openPath("/dev/zero", "read");
  expect(() => readRegular(zero, 100)).toThrow("Not a regular file");
});

test("readRegular reads a file of any size to its end, /proc included", () => {
  const big = Buffer.alloc(200_001, "abc");
  writeFileSync(join(directory, "big"), big);
  using file = openPath(join(directory, "big"), "read");
  expect(readRegular(file, 1 << 20).equals(big)).toBe(true);
  expect(nameOf(() => readRegular(file, 200_000))).toBe("EFBIG");
  using status = openPath("/proc/self/status", "read");
  expect(readRegular(status, 1 << 20).toString()).toContain(`\nPid:\t${process.pid}\n`);
  expect(nameOf(() => readRegular(status, 100))).toBe("EFBIG");
});

test("the status equals that of Node's stat", () => {
  const path = join(root, "etc/os-release");
  chmodSync(path, 0o640);
  using fd = openPath(path, "path");
  const ours = statFd(fd);
  const theirs = statSync(path, { bigint: true });
  expect(ours).toMatchObject({
    kind: "regular",
    dev: theirs.dev,
    ino: theirs.ino,
    nlink: Number(theirs.nlink),
    mode: Number(theirs.mode),
    size: Number(theirs.size),
    uid: Number(theirs.uid),
    gid: Number(theirs.gid),
    mtimeNs: theirs.mtimeNs,
    ctimeNs: theirs.ctimeNs,
    blocks: Number(theirs.blocks),
    isMountPoint: false,
  });
  expect(ours.mntId).not.toBeNull();
  expect(statPath("/proc").isMountPoint).toBe(true);
  expect(statPath("/dev/null").rdev).toEqual({ major: 1, minor: 3 });
  expect(statPath(join(root, "absolute"), "no-follow").kind).toBe("symlink");
  using inside = openPath(root, "path");
  expect(statAt(inside, "fifo").kind).toBe("fifo");
});

test("links are read, descriptors are reopened, directories are created and removed", () => {
  expect(readLinkAt(null, join(root, "absolute"))).toBe("/etc/os-release");
  using inside = openPath(root, "path");
  expect(readLinkAt(inside, "etc/upwards")).toStartWith("../../");
  using named = openInRoot(inside, "etc/os-release", "path");
  using opened = reopen(named, "read");
  expect(readSome(opened)?.toString()).toBe("ID=test\n");
  makeDirectory("made", 0o700, inside);
  expect(() => makeDirectory("made", 0o700, inside)).toThrow("File exists");
  removeDirectory("made", inside);
  writeFileSync(join(root, "gone"), "");
  unlink("gone", inside);
  expect(() => unlink("gone", inside)).toThrow("No such file or directory");
});

test("readSome() returns null when a non-blocking file has no data, and an empty buffer at the end of a file", () => {
  using read = Fd.adopt(sys("eventfd2", 0, 0x80000));
  setNonblocking(read);
  expect(readSome(read)).toBeNull();
  expect(writeSome(read, Buffer.from(new BigUint64Array([5n]).buffer))).toBe(8);
  expect(readSome(read)?.readBigUInt64LE()).toBe(5n);
  using empty = openPath("/dev/null", "read");
  expect(readSome(empty)?.length).toBe(0);
});

test("the type of a file's file system is derived from its magic number", () => {
  using proc = openPath("/proc", "path");
  expect(fileSystemOf(proc).type).toBe(0x9fa0);
  using here = openPath(directory, "path");
  const { totalBytes, freeBytes } = fileSystemOf(here);
  expect(totalBytes).toBeGreaterThanOrEqual(freeBytes);
});

test("open, stat and read stay correct in a hot loop, and no descriptor stays open", () => {
  using inside = openPath(root, "path");
  const { ino } = statPath(join(root, "etc/os-release"));
  const before = openDescriptors();
  for (let i = 0; i < MANY; i++) {
    using fd = openInRoot(inside, i % 2 === 0 ? "/absolute" : "/etc/os-release", i % 3 === 0 ? "path" : "read");
    if (statFd(fd).ino !== ino) throw new Error(`wrong file at ${i}`);
    using copy = fd.duplicate();
    if (statFd(copy).ino !== ino) throw new Error(`wrong duplicate at ${i}`);
  }
  for (let i = 0; i < MANY / 2; i++) {
    if (readFileIn(inside, "/absolute", 100).toString() !== "ID=test\n") throw new Error(`wrong content at ${i}`);
    if (readLinkAt(inside, "absolute") !== "/etc/os-release") throw new Error(`wrong link at ${i}`);
  }
  expectNothingLeft(before);
  expect(readFileSync(join(directory, "secret"), "utf8")).toBe("host");
});

test("whether descriptors are free is found without keeping any", () => {
  const before = openDescriptors();
  for (let i = 0; i < LEAK_ROUNDS; i++) expect(hasFreeDescriptors(16)).toBe(true);
  // The engine may close some descriptors of its own meanwhile.
  for (let i = 0; i < LEAK_ROUNDS; i++) expect(withoutDescriptors(() => hasFreeDescriptors(1000), 1)).toBe(false);
  expect(withoutDescriptors(() => hasFreeDescriptors(1), 1)).toBe(true);
  expectNothingLeft(before);
});
