// Which users are counted as one.
import { expect, spyOn, test } from "bun:test";
import * as fs from "node:fs";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { shareOwner } from "../../../src/kernel/process/share-owner.ts";

function withFiles(work: (files: { ranges: string; users: string; logins: string }) => void): void {
  const directory = mkdtempSync(join(tmpdir(), "machined-share-"));
  try {
    work({ ranges: join(directory, "subuid"), users: join(directory, "passwd"), logins: directory });
  } finally {
    rmSync(directory, { recursive: true });
  }
}

const PASSWD = "root:x:0:0::/root:/bin/sh\nanna:x:1000:1000::/home/anna:/bin/sh\n";

test("subordinate ids count as their owner, and a changed file is read again", () => {
  withFiles((files) => {
    const owners = (...uids: number[]) => uids.map((uid) => shareOwner(uid, files));
    expect(owners(0, 1000, 100_000, 0x8_0005)).toEqual([0, 1000, 0x1_0000, 0x8_0000]);
    writeFileSync(files.users, PASSWD);
    writeFileSync(files.ranges, "anna:100000:65536\n1001:165536:65536\nanna:300000:10\nroot:400000:65536\n");
    expect(owners(1000, 99_999, 100_000, 165_535, 165_536, 300_009)).toEqual([1000, 0x1_0000, 1000, 1000, 1001, 1000]);
    expect(owners(0, 400_000)).toEqual([0, 400_000 - (400_000 % 0x1_0000)]);
  });
});

test("a user that is logged in counts alone, whatever its number", () => {
  withFiles((files) => {
    writeFileSync(join(files.logins, "700001"), "");
    expect([700_001, 700_002].map((uid) => shareOwner(uid, files))).toEqual([700_001, 700_002 - (700_002 % 0x1_0000)]);
  });
});

test("all ranges of an owner that is not in passwd(5) count as one user, and invalid lines are skipped", () => {
  withFiles((files) => {
    writeFileSync(files.ranges, "ldap:200000:10\nldap:300000:10\nx\n:1:1\nx:-5:3\nx:1:y\nx:9:9:9\n");
    expect([200_001, 300_002, 9].map((uid) => shareOwner(uid, files))).toEqual([200_000, 200_000, 9]);
  });
});

test("while the files cannot be read (EMFILE), the ranges that were read last are used; later the files are read again", () => {
  withFiles((files) => {
    writeFileSync(files.ranges, "1001:200000:10\n");
    expect(shareOwner(200_001, files)).toBe(1001);
    writeFileSync(files.ranges, "1001:200000:10\n1001:300000:10\n");
    const reading = spyOn(fs, "readFileSync").mockImplementation(() => {
      throw Object.assign(new Error("EMFILE: too many open files"), { code: "EMFILE" });
    });
    try {
      expect(shareOwner(200_001, files)).toBe(1001);
    } finally {
      reading.mockRestore();
    }
    expect(shareOwner(300_001, files)).toBe(1001);
  });
});
