import { expect, test } from "bun:test";
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { openPath } from "../../../src/kernel/file/fd.ts";
import { changeOwner } from "../../../src/kernel/file/ownership.ts";
import { copyAttributesAs } from "../../../src/kernel/tree/copy-attributes.ts";
import { attributeFor, KEEP_OWNERS, type OwnerPolicy, permissionsFor } from "../../../src/kernel/tree/owner-policy.ts";
import { MANY, rootTest, scratchDirectory } from "../support.ts";
import { run } from "../tree-support.ts";

const directory = scratchDirectory();
const INTO: OwnerPolicy = { owner: { uid: 5000, gid: 5000 }, shift: 5000, dropsPrivileges: false };
const OUT: OwnerPolicy = { owner: { uid: 0, gid: 0 }, shift: -5000, dropsPrivileges: true };

function acl(...entries: [tag: number, id: number][]): Buffer {
  const bytes = Buffer.alloc(4 + 8 * entries.length);
  bytes.writeUInt32LE(2, 0);
  for (const [index, [tag, id]] of entries.entries()) {
    bytes.writeUInt16LE(tag, 4 + 8 * index);
    bytes.writeUInt16LE(6, 6 + 8 * index);
    bytes.writeUInt32LE(id, 8 + 8 * index);
  }
  return bytes;
}

const NONE = 0xffff_ffff;

test("ACL entries are mapped to the users of the other side; entries without a user there are dropped", () => {
  const given = acl([1, NONE], [2, 10], [4, NONE], [8, 20]);
  const name = "system.posix_acl_access";
  expect(attributeFor(name, given, INTO)).toEqual(acl([1, NONE], [2, 5010], [4, NONE], [8, 5020]));
  expect(attributeFor(name, acl([2, 5010], [8, 20]), OUT)).toEqual(acl([2, 10]));
  expect(attributeFor(name, given, KEEP_OWNERS)).toEqual(given);
});

test("file capabilities that are copied in count for the machine's root only, and none are copied out", () => {
  const given = Buffer.from("0100000200200000000000000000000000000000", "hex");
  const inside = attributeFor("security.capability", given, INTO);
  expect(inside?.toString("hex")).toBe("010000030020000000000000000000000000000088130000");
  expect(attributeFor("security.capability", inside as Buffer, OUT)).toBeNull();
  expect(attributeFor("security.capability", Buffer.from("short"), INTO)).toBeNull();
  expect(attributeFor("trusted.overlay.opaque", Buffer.from("y"), OUT)).toBeNull();
  expect(attributeFor("user.note", Buffer.from("y"), OUT)?.toString()).toBe("y");
});

test("set-user-ID is removed from plain files that are copied out with a forced owner", () => {
  expect(permissionsFor(0o106755, OUT)).toBe(0o755);
  expect(permissionsFor(0o042775, OUT)).toBe(0o2775);
  expect(permissionsFor(0o106755, INTO)).toBe(0o6755);
});

rootTest("attributes and owners stay correct in a hot loop", () => {
  const [from, to] = [join(directory, "from"), join(directory, "to")];
  for (const path of [from, to]) writeFileSync(path, "x");
  run("python3", "-c", "import os,sys;os.setxattr(sys.argv[1],'user.note',b'v'*300)", from);
  using source = openPath(from, "path");
  using target = openPath(to, "write");
  for (let i = 0; i < MANY; i++) {
    if (i % 5 === 0) copyAttributesAs(source, target, INTO);
    changeOwner(target, i % 7, "keep");
  }
  expect(run("python3", "-c", "import os,sys;print(os.getxattr(sys.argv[1],'user.note'))", to)).toContain(
    "v".repeat(300),
  );
  rmSync(to);
});
