// A tree gets what its archive contains, and an archive contains what its tree has.
import { expect } from "bun:test";
import {
  closeSync,
  lstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  readlinkSync,
  statSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { getAttribute, setAttribute } from "../../../src/kernel/file/attributes.ts";
import { Fd, openPath } from "../../../src/kernel/file/fd.ts";
import { tarChunks } from "../../../src/worker/tar/pack.ts";
import { encodeAcl } from "../../../src/worker/tar/pax-acl.ts";
import { tryCreateFile, trySetAttribute } from "../../../src/worker/untar/calls.ts";
import { GUARD_MS } from "../../lib/wait-for.ts";
import { archive, header, paxRecord, withSum } from "../../unit/worker/archive-builder.ts";
import { MANY, rootTest, scratchDirectory } from "../support.ts";
import { Sandbox } from "./support.ts";

const sandbox = new Sandbox();
const unpack: Sandbox["unpack"] = (...args) => sandbox.unpack(...args);

const scratch = scratchDirectory();

function attribute(path: string, name: string): Buffer | null {
  using fd = openPath(path, "path-no-follow");
  return getAttribute(fd, name);
}

rootTest("I88: owner, mode, time, links, devices, fifos and setuid are kept", () => {
  const { top, error } = unpack(
    archive(
      { name: "d", type: "5", mode: 0o2751, uid: 7, gid: 8, mtime: 86400 },
      { name: "d/f", mode: 0o4755, uid: 1000, gid: 3_000_00, data: "content", mtime: 981173106 },
      { name: "d/h", type: "1", target: "d/f" },
      { name: "d/l", type: "2", target: "/nowhere", uid: 9 },
      { name: "d/c", type: "3", mode: 0o620, device: [4, 300], gid: 5 },
      { name: "d/b", type: "4", mode: 0o660, device: [8, 1] },
      { name: "d/p", type: "6", mode: 0o1600 },
      { name: "implied/f", data: "x" },
      { name: "big", pax: { uid: "3000000000", mtime: "-1.25" }, data: "x" },
    ),
    {},
    100,
  );
  expect(error).toBeNull();
  const of = (name: string) => lstatSync(join(top, name));
  const directory = of("d");
  expect([directory.mode & 0o7777, directory.uid, directory.gid, directory.mtimeMs]).toEqual([
    0o2751, 7, 8, 86_400_000,
  ]);
  const file = of("d/f");
  expect([file.mode & 0o7777, file.uid, file.gid, file.mtimeMs, file.nlink]).toEqual([
    0o4755, 1000, 300000, 981_173_106_000, 2,
  ]);
  expect(of("d/h").ino).toBe(file.ino);
  expect([readlinkSync(join(top, "d/l")), of("d/l").uid, of("d/l").mtimeMs]).toEqual(["/nowhere", 9, 1e12]);
  expect([of("d/c").isCharacterDevice(), of("d/c").rdev, of("d/c").gid, of("d/c").mode & 0o777]).toEqual([
    true,
    (300 & 0xff) | (4 << 8) | ((300 & ~0xff) << 12),
    5,
    0o620,
  ]);
  expect(of("d/b").isBlockDevice()).toBe(true);
  expect([of("d/p").isFIFO(), of("d/p").mode & 0o7777]).toEqual([true, 0o1600]);
  expect(of("implied").mode & 0o777).toBe(0o755);
  expect([of("big").uid, of("big").mtimeMs]).toEqual([3_000_000_000, -1250]);
});

rootTest("a time that no file system has, in a pax or a GNU header, becomes the nearest one", () => {
  const gnu = (bytes: string) => {
    const block = header({ name: bytes.slice(0, 4) }, 0);
    block.write(bytes, 136, "hex");
    return withSum(block);
  };
  const { top, error } = unpack(
    archive(
      { name: "late", pax: { mtime: "1999999999999999999.5" } },
      { name: "early", pax: { mtime: "-1999999999999999999.5" } },
      gnu("800000001bc16d674ec7ffff"),
      gnu("ffffffffe43e9298b1380001"),
    ),
  );
  expect(error).toBeNull();
  const yearOf = (name: string) => 1970 + lstatSync(join(top, name)).mtimeMs / (365.25 * 86_400_000);
  for (const name of ["late", "8000"]) expect(yearOf(name)).toBeGreaterThan(2038);
  for (const name of ["early", "ffff"]) expect(yearOf(name)).toBeLessThan(1902);
});

rootTest("I89, I90: attributes, capabilities and access control lists are kept", () => {
  const acl = "user::rwx,user:1000:r-x,group::r-x,mask::r-x,other::---";
  const capability = Buffer.from("0100000200040000000000000000000000000000", "hex");
  const pax = {
    "SCHILY.xattr.user.foo": Buffer.from("a\0=\nb"),
    "LIBARCHIVE.xattr.user.b%61r": Buffer.from("value").toString("base64"),
    "SCHILY.xattr.security.capability": capability,
    "SCHILY.acl.access": acl,
  };
  const { top, error } = unpack(
    archive(
      { name: "f", pax, uid: 5, mode: 0o750, data: "x" },
      { name: "d", type: "5", mode: 0o755, pax: { "SCHILY.acl.default": acl } },
      { name: "d/in", mode: 0o644, data: "x" },
      { name: "l", type: "2", target: "f", pax: { "SCHILY.xattr.trusted.x": "y" } },
    ),
  );
  expect(error).toBeNull();
  expect(attribute(join(top, "f"), "user.foo")?.toString()).toBe("a\0=\nb");
  expect(attribute(join(top, "f"), "user.bar")?.toString()).toBe("value");
  expect(attribute(join(top, "f"), "security.capability")?.subarray(0, 20)).toEqual(capability);
  expect(attribute(join(top, "f"), "system.posix_acl_access")).toEqual(encodeAcl(acl));
  expect(attribute(join(top, "d"), "system.posix_acl_default")).toEqual(encodeAcl(acl));
  // A default list that was set before the content was made would have been inherited.
  expect(attribute(join(top, "d/in"), "system.posix_acl_access")).toBeNull();
  expect(attribute(join(top, "l"), "trusted.x")?.toString()).toBe("y");
});

rootTest("I91: sparse members of all four formats are unpacked with their holes", () => {
  const data = Buffer.alloc(512, "d");
  const map = Buffer.alloc(512);
  map.write("2\n1048576\n512\n2097152\n0\n");
  const old = header({ name: "old", type: "S", size: 512, magic: "ustar  \0" }, 512);
  old.write("00004000000\0", 386);
  old.write("00000001000\0", 398);
  old.write("00010000000\0", 483);
  old.fill(0x20, 148, 156);
  old.write(
    `${old
      .reduce((a, b) => a + b, 0)
      .toString(8)
      .padStart(6, "0")}\0 `,
    148,
  );
  const records = [
    ["GNU.sparse.size", "2097152"],
    ["GNU.sparse.numblocks", "2"],
    ["GNU.sparse.offset", "1048576"],
    ["GNU.sparse.numbytes", "512"],
    ["GNU.sparse.offset", "2097152"],
    ["GNU.sparse.numbytes", "0"],
  ].map(([key = "", value = ""]) => paxRecord(key, value));
  const { top, error } = unpack(
    archive(
      old,
      data,
      { name: "pax", type: "x", data: Buffer.concat(records) },
      { name: "v00", data },
      { name: "v01", data, pax: { "GNU.sparse.size": "2097152", "GNU.sparse.map": "1048576,512" } },
      {
        name: "GNUSparseFile.0/v10",
        data: Buffer.concat([map, data]),
        pax: {
          "GNU.sparse.major": "1",
          "GNU.sparse.minor": "0",
          "GNU.sparse.name": "v10",
          "GNU.sparse.realsize": "2097152",
        },
      },
    ),
  );
  expect(error).toBeNull();
  const wanted = Buffer.alloc(2 << 20);
  wanted.fill("d", 1 << 20, (1 << 20) + 512);
  for (const name of ["old", "v00", "v01", "v10"]) {
    expect(readFileSync(join(top, name)).equals(wanted)).toBe(true);
    expect(statSync(join(top, name)).blocks).toBeLessThan(64);
  }
});

rootTest("I98: of two members with the same name the last one is unpacked", () => {
  const { top } = unpack(
    archive(
      { name: "f", data: "first and longer" },
      { name: "f", data: "second" },
      { name: "d/deep/f", data: "x" },
      { name: "d", data: "now a file" },
    ),
  );
  expect(readFileSync(join(top, "f"), "utf8")).toBe("second");
  expect(readFileSync(join(top, "d"), "utf8")).toBe("now a file");
});

rootTest("I99: long names of pax, GNU and ustar archives are read", () => {
  const long = `${"p".repeat(120)}/${"q".repeat(200)}`;
  const { top, error } = unpack(
    archive(
      { name: "x", pax: { path: `pax/${long}` }, data: "1" },
      { name: "././@LongLink", type: "L", data: `gnu/${long}\0` },
      { name: "x", data: "2" },
      { name: "././@LongLink", type: "K", data: `${long}\0` },
      { name: "link", type: "2", target: "short" },
      { name: "name", prefix: "us/tar", data: "3" },
      { name: "v7", magic: "\0\0\0\0\0\0\0\0", type: "\0", data: "4" },
      { name: "v7dir/", magic: "\0\0\0\0\0\0\0\0", type: "\0" },
    ),
  );
  expect(error).toBeNull();
  expect(readFileSync(join(top, "pax", long), "utf8")).toBe("1");
  expect(readFileSync(join(top, "gnu", long), "utf8")).toBe("2");
  expect(readlinkSync(join(top, "link"))).toBe(long);
  expect(readFileSync(join(top, "us/tar/name"), "utf8")).toBe("3");
  expect(readFileSync(join(top, "v7"), "utf8")).toBe("4");
  expect(statSync(join(top, "v7dir")).isDirectory()).toBe(true);
});

rootTest("I99: a member with a long name is a file although its short name ends in a slash", () => {
  const long = `${"p".repeat(98)}/file`;
  const { top, error } = unpack(
    archive(
      { name: `${"p".repeat(98)}/`, pax: { path: long }, data: "1" },
      { name: "old/", magic: "\0\0\0\0\0\0\0\0", type: "\0" },
      { name: "x", pax: { path: "new/" } },
    ),
  );
  expect(error).toBeNull();
  expect(readFileSync(join(top, long), "utf8")).toBe("1");
  for (const name of ["old", "new"]) expect([name, statSync(join(top, name)).isDirectory()]).toEqual([name, true]);
});

rootTest("concatenated archives, labels and names that are not UTF-8 are read", () => {
  const name = Buffer.from([0x66, 0xff, 0xfe]).toString("latin1");
  const { top, error } = unpack(
    Buffer.concat([archive({ name: "a", data: "1" }), archive({ name: "label", type: "V" }, { name, data: "2" })]),
  );
  expect(error).toBeNull();
  expect(readFileSync(Buffer.concat([Buffer.from(`${top}/`), Buffer.from(name, "latin1")]), "utf8")).toBe("2");
});

function fullTree(): string {
  const top = join(scratch, "full");
  mkdirSync(join(top, "d/empty"), { recursive: true, mode: 0o750 });
  writeFileSync(join(top, "d/file"), "content", { mode: 0o640 });
  Bun.spawnSync(
    [
      "sh",
      "-c",
      "ln file hard; ln -s /x/$(printf '%0150d' 0) link; mknod dev c 1 7; mkfifo fifo; chown 7:8 file; touch -d '1969-12-31 23:59:58.25Z' file",
    ],
    { cwd: join(top, "d") },
  );
  const sparse = openSync(join(top, "sparse"), "w");
  writeSync(sparse, "data", 1 << 20);
  closeSync(sparse);
  truncateSync(join(top, "sparse"), 3 << 20);
  using file = openPath(join(top, "d/file"), "read");
  setAttribute(file, "user.note", Buffer.from("\0binary"));
  using directory = openPath(join(top, "d"), "read");
  setAttribute(
    directory,
    "system.posix_acl_default",
    encodeAcl("user::rwx,user:9:r--,group::r-x,mask::r-x,other::---") as Buffer,
  );
  return top;
}

rootTest("I122: a tree that is packed and unpacked is the same", () => {
  const source = fullTree();
  using directory = openPath(source, "directory");
  const bytes = Buffer.concat([...tarChunks(directory)]);
  const { top, error } = unpack(bytes);
  expect(error).toBeNull();
  const list = (path: string) =>
    Bun.spawnSync(["find", ".", "-printf", "%p %y %m %U %G %s %T@ %n %l\\n"], { cwd: path })
      .stdout.toString()
      .split("\n")
      .sort()
      .filter((line) => !/^\S+ d/.test(line))
      .join("\n");
  expect(list(top)).toBe(list(source));
  expect(Bun.spawnSync(["cmp", join(top, "sparse"), join(source, "sparse")]).exitCode).toBe(0);
  expect(statSync(join(top, "sparse")).blocks).toBeLessThan(64);
  expect(attribute(join(top, "d/file"), "user.note")?.toString()).toBe("\0binary");
  expect(attribute(join(top, "d"), "system.posix_acl_default")).toEqual(
    attribute(join(source, "d"), "system.posix_acl_default"),
  );
});

rootTest("GNU tar reads machined's archives, and machined reads GNU tar's", () => {
  const source = fullTree();
  const into = join(scratch, "gnu");
  mkdirSync(into);
  using directory = openPath(source, "directory");
  const ours = Buffer.concat([...tarChunks(directory)]);
  const options = ["--acls", "--xattrs", "--xattrs-include=*", "--numeric-owner"];
  expect(Bun.spawnSync(["tar", ...options, "-xpf", "-", "-C", into], { stdin: ours }).exitCode).toBe(0);
  expect(Bun.spawnSync(["tar", ...options, "-df", "-", "-C", source], { stdin: ours }).stdout.toString()).toBe("");
  for (const format of ["--format=pax", "--format=gnu"]) {
    const theirs = Bun.spawnSync([
      "tar",
      ...(format.endsWith("pax") ? options : ["--numeric-owner"]),
      "--sparse",
      format,
      "-C",
      source,
      "--exclude=link",
      "-cf",
      "-",
      ".",
    ]).stdout;
    const { top, error } = unpack(Buffer.from(theirs));
    expect(error).toBeNull();
    expect(
      Bun.spawnSync(["diff", "-r", "--exclude=fifo", "--exclude=dev", "--exclude=link", top, source]).exitCode,
    ).toBe(0);
  }
});

rootTest(
  "the calls that make files stay correct in a hot loop",
  () => {
    using directory = openPath(scratch, "directory");
    const value = Buffer.from("value");
    for (let i = 0; i < MANY; i++) {
      const name = `n${i % 100}`;
      using file = Fd.adopt(tryCreateFile(directory, name, 0o600));
      if (i % 50 === 0) expect(trySetAttribute(file, "user.x", value)).toBe(0);
      unlinkSync(join(scratch, name));
    }
  },
  GUARD_MS,
);
