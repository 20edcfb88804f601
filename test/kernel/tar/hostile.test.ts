// Archives that try to write outside of the directory they are unpacked into, one for each attack that worked in some
// program.
import { expect, test } from "bun:test";
import { existsSync, lstatSync, readFileSync, readlinkSync } from "node:fs";
import { join } from "node:path";
import { expectNothingLeft, openDescriptors } from "../../lib/descriptors.ts";
import {
  archive,
  type BuiltMember,
  END,
  header,
  member,
  paxRecord,
  withSum,
} from "../../unit/worker/archive-builder.ts";
import { rootTest } from "../support.ts";
import { Sandbox } from "./support.ts";

const sandbox = new Sandbox();
const CANARY = sandbox.canary;
const expectCanary = () => sandbox.expectCanary();
const unpack: Sandbox["unpack"] = (...args) => sandbox.unpack(...args);

const before: BuiltMember = { name: "before", data: "neighbour" };
const after: BuiltMember = { name: "after", data: "neighbour" };

interface Attack {
  readonly name: string;
  readonly members: readonly (BuiltMember | Buffer)[];
  readonly errno?: string;
}

const ATTACKS: readonly Attack[] = [
  { name: "I93: ../ in a name (CVE-2007-4559)", members: [{ name: "../canary/new", data: "x" }], errno: "EBADMSG" },
  {
    name: "a/../../ in a name (CVE-2016-6321)",
    members: [{ name: "a/../../canary/new", data: "x" }],
    errno: "EBADMSG",
  },
  { name: "a name that ends in /..", members: [{ name: "a/..", type: "5" }], errno: "EBADMSG" },
  {
    name: "a pax path with .. (CVE-2015-8860)",
    members: [{ name: "a", pax: { path: "../canary/new" } }],
    errno: "EBADMSG",
  },
  {
    name: "I95: a link to outside, then a file through it",
    members: [
      { name: "d", type: "2", target: CANARY },
      { name: "d/new", data: "x" },
    ],
    errno: "ENOTDIR",
  },
  {
    name: "a directory, a link to outside in its place, then a file through it (CVE-2021-32803)",
    members: [
      { name: "d", type: "5" },
      { name: "d", type: "2", target: CANARY },
      { name: "d/new", data: "x" },
    ],
    errno: "ENOTDIR",
  },
  {
    name: "a chain of harmless links (oven-sh/bun 26955)",
    members: [
      { name: "x/a", type: "2", target: "." },
      { name: "x/a/b", type: "2", target: "." },
      { name: "x/a/b/c", type: "2", target: "../../canary" },
      { name: "x/a/b/c/new", data: "x" },
    ],
    errno: "ENOTDIR",
  },
  {
    name: "I96: a hard link to outside",
    members: [
      { name: "h", type: "1", target: `${CANARY}/file` },
      { name: "h", data: "overwritten" },
    ],
    errno: "ENOENT",
  },
  {
    name: "I96: a hard link through .. ",
    members: [{ name: "h", type: "1", target: "../canary/file" }],
    errno: "EBADMSG",
  },
  {
    name: "I96: a hard link through a link to outside (node-tar CVE-2026-26960)",
    members: [
      { name: "d", type: "2", target: CANARY },
      { name: "h", type: "1", target: "d/file" },
    ],
    errno: "ENOTDIR",
  },
  {
    name: "two links and a hard link in a chain (CVE-2026-24842)",
    members: [
      { name: "a", type: "2", target: ".." },
      { name: "b", type: "2", target: "a/canary" },
      { name: "c", type: "1", target: "b/file" },
    ],
    errno: "ENOTDIR",
  },
  {
    name: "a hard link to a directory",
    members: [
      { name: "d", type: "5" },
      { name: "h", type: "1", target: "d" },
    ],
    errno: "EPERM",
  },
  { name: "a hard link to itself", members: [{ name: "h", type: "1", target: "h" }], errno: "ENOENT" },
  { name: "a hard link to the top", members: [{ name: "h", type: "1", target: "./" }], errno: "EBADMSG" },
  { name: "a file in place of the top", members: [{ name: "./", data: "x" }], errno: "EBADMSG" },
  { name: "a member without a name", members: [{ name: "", data: "x" }], errno: "EBADMSG" },
  {
    name: "I99: a component of more than 255 bytes",
    members: [{ name: "x", pax: { path: "a".repeat(300) }, data: "x" }],
    errno: "ENAMETOOLONG",
  },
  {
    name: "I97: directories nested too deeply",
    members: [{ name: "x", pax: { path: "a/".repeat(200) } }],
    errno: "E2BIG",
  },
  { name: "NUL in a pax path", members: [{ name: "x", pax: { path: "a\0../b" } }], errno: "EBADMSG" },
  { name: "a pax record with wrong length", members: [paxOf(Buffer.from("99 path=x\n"))], errno: "EBADMSG" },
  { name: "a pax record without newline", members: [paxOf(Buffer.from("9 path=xy"))], errno: "EBADMSG" },
  { name: "a pax record without key", members: [paxOf(Buffer.from("5 =x\n"))], errno: "EBADMSG" },
  {
    name: "a pax header of gigabytes (CVE-2018-20482)",
    members: [header({ name: "p", type: "x", size: 0o77777777777 }, 0)],
    errno: "EBADMSG",
  },
  {
    name: "a long name of gigabytes",
    members: [header({ name: "l", type: "L", size: 0o77777777777 }, 0)],
    errno: "ENAMETOOLONG",
  },
  { name: "a negative size", members: [header({ name: "n", size: Buffer.alloc(12, 0xff) }, 0)], errno: "EBADMSG" },
  {
    name: "a size of more than 64 bits",
    members: [header({ name: "n", size: Buffer.from("80ffffffffffffffffffffff", "hex") }, 0)],
    errno: "EBADMSG",
  },
  { name: "a sparse map that overlaps", members: [sparse("0,10,5,10", 20, 20)], errno: "EBADMSG" },
  { name: "a sparse map beyond the file", members: [sparse("0,10,100,10", 50, 20)], errno: "EBADMSG" },
  {
    name: "a sparse map longer than its data (CVE-2025-58183)",
    members: [sparse("0,1000000000", 1e9, 20)],
    errno: "EBADMSG",
  },
  { name: "a sparse map of a billion pieces", members: [sparseInData("1000000000\n")], errno: "EBADMSG" },
  { name: "a sparse map without end", members: [sparseInData("1".repeat(512))], errno: "EBADMSG" },
  {
    name: "a damaged access control list (CVE-2026-5745)",
    members: [{ name: "f", pax: { "SCHILY.acl.access": "user::rwx,what" } }],
    errno: "EBADMSG",
  },
  {
    name: "a device whose number is that of a whiteout without its upper bits",
    members: [{ name: "n", type: "3", device: [0x1000, 0] }],
    errno: "EBADMSG",
  },
  {
    name: "a device with a minor number beyond the kernel's",
    members: [{ name: "n", type: "4", device: [8, 0x10_0000] }],
    errno: "EBADMSG",
  },
  {
    name: "members in the data of a file whose name is that of a directory",
    members: [{ name: "d/", data: archive({ name: "smuggled", data: "x" }) }],
    errno: "EBADMSG",
  },
  { name: "an unknown type", members: [{ name: "f", type: "%" }], errno: "EBADMSG" },
  { name: "an owner of minus one", members: [{ name: "f", pax: { uid: "4294967295" } }], errno: "EBADMSG" },
  { name: "an owner that is no number", members: [{ name: "f", pax: { uid: "root" } }], errno: "EBADMSG" },
];

function paxOf(content: Buffer): Buffer {
  return member({ name: "pax", type: "x", data: content });
}

function sparse(map: string, size: number, dataBytes: number): BuiltMember {
  return { name: "s", data: Buffer.alloc(dataBytes, 1), pax: { "GNU.sparse.map": map, "GNU.sparse.size": `${size}` } };
}

function sparseInData(map: string): BuiltMember {
  const data = Buffer.alloc(512);
  data.write(map);
  return { name: "s", data, pax: { "GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "9" } };
}

for (const { name, members, errno } of ATTACKS) {
  rootTest(`${name} is refused, and nothing outside is changed`, () => {
    const { top, error } = unpack(archive(before, ...members, after));
    expectCanary();
    expect(error?.errnoName).toBe(errno);
    expect(readFileSync(join(top, "before"), "utf8")).toBe("neighbour");
    expect(existsSync(join(top, "after"))).toBe(false);
  });
}

rootTest("I94: absolute names are unpacked inside the directory", () => {
  const { top, error } = unpack(
    archive({ name: `${CANARY}/file`, data: "x" }, { name: "///etc/motd", data: "y" }, after),
  );
  expect(error).toBeNull();
  expectCanary();
  expect(readFileSync(join(top, CANARY, "file"), "utf8")).toBe("x");
  expect(readFileSync(join(top, "etc/motd"), "utf8")).toBe("y");
});

rootTest("a file that takes the name of a link replaces the link, not its target (CVE-2018-20834)", () => {
  const { top, error } = unpack(archive({ name: "l", type: "2", target: `${CANARY}/file` }, { name: "l", data: "x" }));
  expect(error).toBeNull();
  expectCanary();
  expect(readFileSync(join(top, "l"), "utf8")).toBe("x");
});

rootTest("a directory that takes the name of a link replaces the link", () => {
  const { top, error } = unpack(
    archive({ name: "l", type: "2", target: CANARY }, { name: "l", type: "5", mode: 0o777 }, { name: "l/in" }),
  );
  expect(error).toBeNull();
  expectCanary();
  expect(lstatSync(join(top, "l")).isDirectory()).toBe(true);
});

rootTest(
  "permissions of a directory that was replaced by a link are not applied to the target (CVE-2021-31566)",
  () => {
    const { top, error } = unpack(
      archive({ name: "d", type: "5", mode: 0o777, uid: 1234 }, { name: "d", type: "2", target: CANARY }, after),
    );
    expect(error).toBeNull();
    expectCanary();
    expect(readlinkSync(join(top, "d"))).toBe(CANARY);
  },
);

rootTest("owners and times of links are set on the link, not on its target", () => {
  const { top, error } = unpack(archive({ name: "l", type: "2", target: `${CANARY}/file`, uid: 1234, mode: 0o777 }));
  expect(error).toBeNull();
  expectCanary();
  expect(lstatSync(join(top, "l")).uid).toBe(1234);
});

rootTest("the data size of a hard link is ignored (CVE-2016-5418)", () => {
  const claims = header({ name: "h", type: "1", target: "before", size: 512 }, 0);
  const { top, error } = unpack(archive(before, claims, after));
  expect(error).toBeNull();
  expect(readFileSync(join(top, "h"), "utf8")).toBe("neighbour");
  expect(readFileSync(join(top, "after"), "utf8")).toBe("neighbour");
});

rootTest("the size in a pax header decides where the next member begins (CVE-2025-62518)", () => {
  const inner = archive({ name: "smuggled", data: "x" });
  const outer = Buffer.concat([
    member({ name: "pax", type: "x", data: paxRecord("size", `${inner.length}`) }),
    header({ name: "inner.tar", size: 0 }, 0),
    inner,
  ]);
  const { top, error } = unpack(archive(outer, after));
  expect(error).toBeNull();
  expect(existsSync(join(top, "smuggled"))).toBe(false);
  expect(readFileSync(join(top, "inner.tar")).equals(inner)).toBe(true);
});

rootTest("a path longer than PATH_MAX is opened component by component (CVE-2025-4517)", () => {
  const path = `${"d".repeat(200)}/`.repeat(40);
  const { error } = unpack(archive({ name: "x", pax: { path: `${path}file` }, data: "deep" }));
  expect(error).toBeNull();
});

rootTest("links do not lead to directories that are nested deeper than the limit", () => {
  const steps = (count: number) => `${"d".repeat(250)}/`.repeat(count);
  const list = `user::rwx,${Array.from({ length: 1000 }, (_, id) => `user:${id}:r-x`)},group::r-x,mask::r-x,other::---`;
  const pax = { "SCHILY.acl.access": list, "SCHILY.acl.default": list };
  const links = [
    { name: "x", type: "5", pax: { path: "d/".repeat(100) } },
    { name: "l", type: "2", pax: { linkpath: "d/".repeat(100) } },
  ];
  for (const last of [
    { name: "x", type: "5", pax: { path: `l/${steps(120)}`, ...pax } },
    { name: "x", type: "5", pax: { path: `l/${steps(29)}` } },
    { name: "x", pax: { path: `l/${steps(29)}file` } },
  ]) {
    const { error } = unpack(archive(...links, last), { links: "make" });
    expect([error?.errnoName, error?.message]).toEqual(["E2BIG", "Archive has directories nested deeper than 128"]);
  }
  const most = { name: "x", type: "5", pax: { path: `l/${steps(28)}`, ...pax } };
  expect(unpack(archive(...links, most), { links: "make", isQuiet: true }).error).toBeNull();
});

rootTest("devices and fifos are not opened, and are refused where they cannot be made", () => {
  const fifoFirst = unpack(archive({ name: "p", type: "6" }, { name: "p", data: "x" }));
  expect(fifoFirst.error).toBeNull();
  expect(readFileSync(join(fifoFirst.top, "p"), "utf8")).toBe("x");
  const refused = unpack(archive({ name: "d", type: "3", device: [1, 3] }), { refuseDevices: true });
  expect(refused.error?.errnoName).toBe("EPERM");
  // Whiteouts of overlayfs can be made also without the permission to make devices.
  const whiteout = unpack(archive({ name: "w", type: "3", device: [0, 0] }), { refuseDevices: true });
  expect([whiteout.error, lstatSync(join(whiteout.top, "w")).rdev]).toEqual([null, 0]);
});

rootTest("owners beyond the range are mapped to nobody where the scope requires it", () => {
  const { top } = unpack(archive({ name: "f", uid: 70000, gid: 5 }), { mapId: (id) => (id > 65535 ? 65534 : id) });
  const { uid, gid } = lstatSync(join(top, "f"));
  expect([uid, gid]).toEqual([65534, 5]);
});

rootTest("errors about a size or a link's target that is too long name the member or the target", () => {
  const huge = { name: "d/s", pax: { "GNU.sparse.map": "0,0", "GNU.sparse.size": `${2 ** 53 - 1}` } };
  expect(unpack(archive(huge)).error?.message).toContain('"d/s"');
  const long = { name: "l", type: "2", pax: { linkpath: "x".repeat(5000) } };
  expect(unpack(archive(long)).error?.message).toContain('"xxxx');
});

test("I100: a file that is no archive is refused with that reason", () => {
  for (const bytes of [Buffer.alloc(0), Buffer.from("x"), Buffer.alloc(4096, 0x41), withSum(Buffer.alloc(511))]) {
    expect(unpack(bytes).error?.message).toContain("does not look like a tar archive");
  }
  // A record of zeros is an archive without members, a disk image of zeros is none.
  expect(unpack(Buffer.alloc(20 * 512)).error).toBeNull();
  expect(unpack(Buffer.alloc(1 << 20)).error?.message).toContain("does not look like a tar archive");
});

test("I61: an archive that ends in the middle of a member is damaged, wherever that is", () => {
  const content = "x".repeat(1000);
  const members = [
    { name: "f", data: content },
    { name: "g", pax: { path: "long" }, data: "y" },
  ] as const;
  const whole = archive(...members);
  const first = member(members[0]);
  for (let length = 512; length < whole.length - END.length; length += 100) {
    const isWhole = length >= 512 + content.length && length <= first.length;
    const isLast = length >= whole.length - END.length - 511;
    expect([length, unpack(whole.subarray(0, length)).error?.errnoName]).toEqual([
      length,
      isWhole || isLast ? undefined : "EBADMSG",
    ]);
  }
  const between = unpack(whole.subarray(0, first.length + 1024)).error;
  expect(between?.message).toContain("ends between an extended header and its member");
});

test("an archive is complete after its last member, with or without padding, with a full, a partial or no end marker", () => {
  const data = "x".repeat(700);
  const bare = archive({ name: "f", data }).subarray(0, 512 + data.length);
  for (const zeros of [0, 1, 324, 400, 836, 1000]) {
    const { top, error } = unpack(Buffer.concat([bare, Buffer.alloc(zeros)]));
    expect([zeros, error]).toEqual([zeros, null]);
    expect(readFileSync(join(top, "f"), "utf8")).toBe(data);
  }
  expect(unpack(bare.subarray(0, bare.length - 1)).error?.errnoName).toBe("EBADMSG");
  expect(unpack(Buffer.concat([archive({ name: "f" }), Buffer.from("x")])).error?.message).toContain(
    "middle of a header",
  );
});

test("garbage between members is refused", () => {
  expect(unpack(archive(before, Buffer.alloc(512, 0x41))).error?.errnoName).toBe("EBADMSG");
});

rootTest("I74: written bytes are counted, and the counter can stop the unpacking", () => {
  let written = 0;
  const stop = (bytes: number) => {
    written += bytes;
    if (written > 1 << 20) throw new Error("enough");
  };
  const { error } = unpack(
    archive({ name: "big", data: Buffer.alloc(8 << 20) }),
    { spending: { wrote: stop, entered: () => {} } },
    65536,
  );
  expect(error?.message).toBe("enough");
});

test("global headers that would take much memory, or time at each member, are refused", () => {
  const records = Array.from({ length: 40 }, (_, index) => [`NOTE.${index}`, "x".repeat(500)] as const);
  const global = (first: number, last: number) => {
    const content = Buffer.concat(records.slice(first, last).map(([key, value]) => paxRecord(key, value)));
    return Buffer.concat([
      header({ name: "g", type: "g" }, content.length),
      content,
      Buffer.alloc((512 - (content.length % 512)) % 512),
    ]);
  };
  expect(unpack(archive(global(0, 10), { name: "a" })).error).toBeNull();
  const many = archive(...[0, 10, 20, 30].flatMap((first) => [global(first, first + 10), { name: `a${first}` }]));
  expect(unpack(many).error?.message).toBe("Archive is damaged: global headers of more than 16 KiB, at 'g'");
});

test("an error of an archive names the member, by its long name where it has one", () => {
  const message = (...members: readonly BuiltMember[]) => unpack(archive(...members)).error?.message;
  expect(message({ name: "a" }, { name: "dir/b", type: "?" })).toBe(
    "Archive is damaged: member of unknown type \"?\", at 'dir/b'",
  );
  const pax = { path: "a/long\u202ename", mtime: "soon" };
  expect(message({ name: "short", pax })).toEndWith(", at 'a/long\\u202ename'");
});

rootTest("no descriptor stays open after success or failure", () => {
  unpack(archive(before));
  const open = openDescriptors();
  for (let i = 0; i < 50; i++) {
    unpack(archive({ name: "a/b/c/d", data: "x" }, { name: "../x" }));
    unpack(archive({ name: "a/b/c/d", data: "x" }, { name: "a/b/c/e", type: "1", target: "a/b/c/d" }));
    unpack(archive({ name: "f", data: "x" }).subarray(0, 513));
  }
  expectNothingLeft(open);
});
