// Attributes in archives of other programs, and attributes that cannot be kept: each kind that is left out is one
// warning, and the files are unpacked.
import { expect, spyOn } from "bun:test";
import * as fs from "node:fs";
import { lstatSync, mkdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { getAttribute, setAttribute } from "../../../src/kernel/file/attributes.ts";
import { openPath } from "../../../src/kernel/file/fd.ts";
import { liftOsTree } from "../../../src/worker/image/os-tree.ts";
import { tarChunks } from "../../../src/worker/tar/pack.ts";
import { encodeAcl } from "../../../src/worker/tar/pax-acl.ts";
import { Unpacker } from "../../../src/worker/untar/unpacker.ts";
import { descriptorsTo } from "../../lib/descriptors.ts";
import { archive, type BuiltMember } from "../../unit/worker/archive-builder.ts";
import { rootTest, scratchDirectory } from "../support.ts";
import { mountedFileSystem } from "../tree-support.ts";
import { Sandbox } from "./support.ts";

const sandbox = new Sandbox();
const scratch = scratchDirectory();

function attribute(path: string, name: string): string | null {
  using fd = openPath(path, "path-no-follow");
  return getAttribute(fd, name)?.toString("latin1") ?? null;
}

/** The lines that `work` writes to standard error. */
function linesOf(work: () => void): string[] {
  const lines: string[] = [];
  const spy = spyOn(fs, "writeSync").mockImplementation(((fd: number, text: string) => {
    if (fd === 2) lines.push(...text.trim().split("\n"));
    return text.length;
  }) as typeof fs.writeSync);
  try {
    work();
  } finally {
    spy.mockRestore();
  }
  return lines;
}

rootTest("attribute names with = and % are written and read as GNU tar does", () => {
  const { top, error } = sandbox.unpack(
    archive({
      name: "f",
      pax: { "SCHILY.xattr.user.a%3Db": "1", "SCHILY.xattr.user.p%25q": "2", "SCHILY.xattr.user.%41": "3" },
    }),
  );
  expect(error).toBeNull();
  expect(["user.a=b", "user.p%q", "user.%41"].map((name) => attribute(join(top, "f"), name))).toEqual(["1", "2", "3"]);
  using tree = openPath(top, "directory");
  const ours = Buffer.concat([...tarChunks(tree)]);
  expect(ours.includes("SCHILY.xattr.user.a%3Db=1\n")).toBe(true);
  const again = sandbox.unpack(ours);
  expect(["user.a=b", "user.p%q", "user.%41"].map((name) => attribute(join(again.top, "f"), name))).toEqual([
    "1",
    "2",
    "3",
  ]);
  const gnu = join(scratch, "gnu");
  mkdirSync(gnu);
  expect(
    Bun.spawnSync(["tar", "--xattrs", "--xattrs-include=*", "-xf", "-", "-C", gnu], { stdin: ours }).exitCode,
  ).toBe(0);
  expect(attribute(join(gnu, "f"), "user.a=b")).toBe("1");
});

rootTest(
  "access control lists with names get the numbers of the archive's own passwd and group, which may come last",
  () => {
    const list = "user::rwx,user:web:r-x,group::r-x,group:www:rwx,mask::rwx,other::---";
    const numbers = "user::rwx,user:33:r-x,group::r-x,group:44:rwx,mask::rwx,other::---";
    const unknown = "user::rwx,user:nobody-knows:r-x,group::r-x,mask::r-x,other::---";
    const { top, error } = sandbox.unpack(
      archive(
        { name: "f", mode: 0o750, pax: { "SCHILY.acl.access": list }, mtime: 1234 },
        { name: "d", type: "5", mode: 0o755, pax: { "SCHILY.acl.default": list } },
        { name: "d/inside", mode: 0o644 },
        { name: "other", mode: 0o750, pax: { "SCHILY.acl.access": unknown } },
        { name: "replaced", mode: 0o750, pax: { "SCHILY.acl.access": list } },
        { name: "replaced", mode: 0o640 },
        { name: "etc/passwd", data: "root:x:0:0::/:/bin/sh\nweb:x:33:33::/:\n" },
        { name: "etc/group", data: "root:x:0:\nwww:x:44:web\n" },
      ),
      { isQuiet: true },
    );
    expect(error).toBeNull();
    const wanted = encodeAcl(numbers)?.toString("latin1");
    expect(attribute(join(top, "f"), "system.posix_acl_access")).toBe(wanted as string);
    expect(statSync(join(top, "f")).mtimeMs).toBe(1_234_000);
    expect(attribute(join(top, "d"), "system.posix_acl_default")).toBe(wanted as string);
    for (const name of ["d/inside", "other", "replaced"]) {
      expect([name, attribute(join(top, name), "system.posix_acl_access")]).toEqual([name, null]);
    }
  },
);

/**
 * Members that replace a file "a/f" by another file, which gets the same inode number where the file system reuses it.
 */
const ANEW: readonly BuiltMember[] = [
  { name: "a", type: "2", target: "x" },
  { name: "a", type: "5", mode: 0o755 },
];
const REPLACEMENTS: readonly (readonly BuiltMember[])[] = [
  [{ name: "a/f", type: "5", mode: 0o755 }],
  [...ANEW, { name: "a/f", mode: 0o640 }],
  [...ANEW, { name: "a/f/g", mode: 0o640 }],
  [...ANEW, { name: "a/f", type: "6" }],
];

rootTest(
  "an access control list with names is not set on a file that replaces its file, also with the same inode number",
  () => {
    const pax = { "SCHILY.acl.access": "user::rwx,user:web:r-x,group::r-x,mask::rwx,other::---" };
    const passwd = { name: "etc/passwd", data: "web:x:33:33::/:\n" };
    const found = REPLACEMENTS.map((members) => {
      const { top, error } = sandbox.unpack(archive(passwd, { name: "a/f", pax }, ...members), { isQuiet: true });
      return error ?? attribute(join(top, "a/f"), "system.posix_acl_access");
    });
    expect(found).toEqual(REPLACEMENTS.map(() => null));
  },
);

rootTest("a file that is truncated while it is packed causes one warning, with the number of missing bytes", () => {
  const PIECE_BYTES = 1 << 20;
  for (const distance of [PIECE_BYTES, 2 * PIECE_BYTES]) {
    const path = join(scratch, `shrinking-${distance}`);
    mkdirSync(path);
    const file = join(path, "f");
    const written = fs.openSync(file, "w");
    for (let piece = 0; piece < 8; piece++)
      fs.writeSync(written, Buffer.alloc(PIECE_BYTES), 0, PIECE_BYTES, piece * distance);
    fs.closeSync(written);
    let bytes = 0;
    const lines = linesOf(() => {
      using tree = openPath(path, "directory");
      for (const chunk of tarChunks(tree)) {
        if (bytes === 0) fs.truncateSync(file, 0);
        bytes += chunk.length;
      }
    });
    expect(bytes).toBeGreaterThan(8 * PIECE_BYTES);
    expect(lines).toEqual([
      expect.stringMatching(/File '\.\/f' shrank while it was read: 7\d{6} bytes are filled with zeros\.$/),
    ]);
  }
});

rootTest(
  "attributes that cannot be kept cause one warning for each kind, with a count, and everything else is kept",
  () => {
    const many = Array.from({ length: 30 }, (_, index) => ({
      name: `f${index}`,
      data: "content",
      pax: {
        "SCHILY.xattr.security.capability": "no capability",
        [`SCHILY.xattr.user.${"n".repeat(300)}`]: "x",
        "SCHILY.xattr.user.kept": "kept",
        "SCHILY.xattr.no.such.namespace": "x",
      },
    }));
    let unpacked: ReturnType<Sandbox["unpack"]> | null = null;
    const directory = {
      name: "d",
      type: "5",
      pax: { [`SCHILY.xattr.user.large`]: Buffer.alloc(70_000, "v") },
    } as const;
    const bytes = archive(...many, directory);
    // Files without data, because linesOf() replaces writeSync(), which also writes the data of files.
    const lines = linesOf(() => {
      unpacked = sandbox.unpack(archive(...many.map((one) => ({ ...one, data: "" })), directory));
    });
    const { top, error } = unpacked as unknown as ReturnType<Sandbox["unpack"]>;
    expect(error).toBeNull();
    expect(lines.sort()).toEqual([
      "Extended attribute 'no.such.namespace' cannot be kept here (Operation not supported), leaving it out: 30 files, the first of them 'f0'",
      "Extended attribute 'security.capability' cannot be kept here (Invalid argument), leaving it out: 30 files, the first of them 'f0'",
      "Extended attribute 'user.*' cannot be kept here (Argument list too long), leaving it out: 'd'",
      "Extended attribute 'user.*' cannot be kept here (Numerical result out of range), leaving it out: 30 files, the first of them 'f0'",
    ]);
    expect(attribute(join(top, "f29"), "user.kept")).toBe("kept");
    expect(readFileSync(join(sandbox.unpack(bytes, { isQuiet: true }).top, "f29"), "utf8")).toBe("content");
  },
);

rootTest("attributes that are too large for the file system, which is not full, are left out", () => {
  const mount = mountedFileSystem("ext4", 32);
  if (mount === null) return;
  const top = join(mount, "tree");
  mkdirSync(top);
  using tree = openPath(top, "directory");
  using unpacker = new Unpacker(tree, { isQuiet: true });
  const pax = { "SCHILY.xattr.user.large": Buffer.alloc(60_000, "v"), "SCHILY.xattr.user.small": "s" };
  unpacker.push(archive({ name: "f", data: "x", pax }, { name: "d", type: "5", pax }));
  unpacker.end();
  for (const name of ["f", "d"]) {
    expect(attribute(join(top, name), "user.large")).toBeNull();
    expect(attribute(join(top, name), "user.small")).toBe("s");
  }
});

rootTest(
  "targets of links may be any bytes, fifos are packed, sockets are named in a warning, removed files are left out",
  () => {
    const source = join(scratch, "source");
    mkdirSync(join(source, "d"), { recursive: true });
    const target = Buffer.from([0x66, 0xff, 0xfe]);
    symlinkSync(target, join(source, "link"));
    expect(Bun.spawnSync(["mkfifo", "-m", "640", join(source, "fifo")]).exitCode).toBe(0);
    const bind = `import socket, sys; socket.socket(socket.AF_UNIX).bind(sys.argv[1])`;
    expect(Bun.spawnSync(["python3", "-c", bind, join(source, "d/socket")]).exitCode).toBe(0);
    for (const name of ["gone-link", "z-gone-link"]) symlinkSync("x", join(source, "d", name));
    using tree = openPath(source, "directory");
    const chunks: Buffer[] = [];
    const lines = linesOf(() => {
      const walk = tarChunks(tree);
      for (const chunk of walk) chunks.push(chunk);
    });
    expect(lines).toEqual(["Socket './d/socket' is left out: an archive cannot contain sockets."]);
    const { top, error } = sandbox.unpack(Buffer.concat(chunks));
    expect(error).toBeNull();
    expect(fs.readlinkSync(join(top, "link"), "buffer")).toEqual(target);
    const fifo = lstatSync(join(top, "fifo"));
    expect([fifo.isFIFO(), fifo.mode & 0o777]).toEqual([true, 0o640]);
  },
);

rootTest("a link, a fifo or a directory that vanishes while its tree is read does not fail the export", () => {
  const source = join(scratch, "live");
  mkdirSync(join(source, "a"), { recursive: true });
  // The file fills the first chunk: when that chunk is returned, the names after it have been listed.
  writeFileSync(join(source, "a/0"), Buffer.alloc(3 << 20, "x"));
  symlinkSync("x", join(source, "a/link"));
  expect(Bun.spawnSync(["mkfifo", join(source, "a/fifo")]).exitCode).toBe(0);
  mkdirSync(join(source, "a/sub"));
  using tree = openPath(source, "directory");
  const walk = tarChunks(tree);
  const chunks = [walk.next().value as Buffer];
  expect(Bun.spawnSync(["rm", "-r", "link", "fifo", "sub"], { cwd: join(source, "a") }).exitCode).toBe(0);
  for (const chunk of walk) chunks.push(chunk);
  const { top, error } = sandbox.unpack(Buffer.concat(chunks));
  expect([error, fs.readdirSync(join(top, "a"))]).toEqual([null, ["0"]]);
});

rootTest("when an OS tree in a single directory is moved up, the top gets that directory's time", () => {
  const { top, error } = sandbox.unpack(
    archive(
      { name: "os", type: "5", mode: 0o750, mtime: 86_400, pax: { "SCHILY.xattr.user.of": "the top" } },
      { name: "os/etc/os-release", data: "ID=x\n" },
      { name: "os/os", data: "of the same name" },
    ),
  );
  expect(error).toBeNull();
  using tree = openPath(top, "directory");
  liftOsTree(tree);
  expect(readFileSync(join(top, "os"), "utf8")).toBe("of the same name");
  const { mtimeMs, mode } = statSync(top);
  expect([mtimeMs, mode & 0o777, attribute(top, "user.of")]).toEqual([86_400_000, 0o750, "the top"]);
});

rootTest("a later member for a directory replaces the attributes of an earlier one", () => {
  const acl = "user::rwx,user:9:r-x,group::r-x,mask::r-x,other::---";
  const pax = { "SCHILY.xattr.user.first": "1", "SCHILY.acl.default": acl, "SCHILY.acl.access": acl };
  const { top, error } = sandbox.unpack(
    archive(
      { name: "d", type: "5", mode: 0o700, uid: 7, pax },
      { name: "d/f", data: "x" },
      { name: "d", type: "5", mode: 0o755, pax: { "SCHILY.xattr.user.second": "2" } },
    ),
  );
  expect(error).toBeNull();
  const path = join(top, "d");
  const { uid, mode } = lstatSync(path);
  expect([uid, mode & 0o7777, attribute(path, "user.first"), attribute(path, "user.second")]).toEqual([
    0,
    0o755,
    null,
    "2",
  ]);
  for (const name of ["system.posix_acl_access", "system.posix_acl_default"]) expect(attribute(path, name)).toBeNull();
});

rootTest("files get the group of the archive also in a set-group-ID directory", () => {
  const top = join(scratch, "setgid");
  mkdirSync(top);
  fs.chownSync(top, 0, 1234);
  fs.chmodSync(top, 0o2755);
  using tree = openPath(top, "directory");
  using note = openPath(top, "read");
  setAttribute(note, "user.x", Buffer.from("y"));
  using unpacker = new Unpacker(tree);
  unpacker.push(
    archive({ name: "f", data: "x" }, { name: "d", type: "5", mode: 0o755 }, { name: "d/l", type: "2", target: "x" }),
  );
  unpacker.end();
  for (const name of ["f", "d", "d/l"]) expect([name, lstatSync(join(top, name)).gid]).toEqual([name, 0]);
  expect(lstatSync(join(top, "d")).mode & 0o7777).toBe(0o755);
});

rootTest("when packing is stopped inside a directory, the directory is closed", () => {
  const path = join(scratch, "directories");
  // Every header is that of a directory, so that the first chunk ends inside a directory.
  const names = Array.from({ length: 2500 }, (_, index) => join(path, `d${index}`));
  for (const name of names) mkdirSync(name, { recursive: true });
  using tree = openPath(path, "directory");
  const chunks = tarChunks(tree);
  let first = chunks.next().value;
  // Empty chunks are pauses.
  while (first?.length === 0) first = chunks.next().value;
  expect(first?.length).toBe(1 << 20);
  chunks.return(undefined);
  expect(names.filter((name) => descriptorsTo(name) > 0)).toEqual([]);
});
