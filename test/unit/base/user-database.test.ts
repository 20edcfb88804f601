// User databases of machines, which may be hostile: what is found, and what it takes.
import { expect, test } from "bun:test";
import { findUser, groupsOfUser, parseSubordinateRanges } from "../../../src/base/user-database.ts";

test("users are found by name and number, groups by their members; malformed lines are skipped", () => {
  const passwd = "\nroot:x:0:0::/root:/bin/sh\nbad:x:y:0\na:x:7:8:A:/home/a:/bin/a:more\nb:x:9:9";
  expect(findUser(passwd, 7)).toEqual({ name: "a", uid: 7, gid: 8, home: "/home/a", shell: "/bin/a" });
  expect([findUser(passwd, "root")?.uid, findUser(passwd, "b")?.uid]).toEqual([0, 9]);
  expect([findUser(passwd, "bad"), findUser("", "root")]).toEqual([null, null]);
  const group = "one:x:1:a,b\ntwo:x:2:aa\nthree:x:3:a:more\nfour:x:4:\n";
  expect([groupsOfUser(group, "a"), groupsOfUser(group, "b"), groupsOfUser(group, "a,b")]).toEqual([[1, 3], [1], []]);
  expect(parseSubordinateRanges("a:1:2\n b:3:4\nc:5:6:7\n")).toEqual([
    { owner: "a", first: 1, count: 2 },
    { owner: "b", first: 3, count: 4 },
  ]);
});

test("no more groups are found than the kernel takes", () => {
  const group = Array.from({ length: 70_000 }, (_, gid) => `::${gid}:a\n`).join("");
  expect(groupsOfUser(group, "a")).toHaveLength(65536);
});

const TEXTS = {
  "very many lines": `"abc:d\\n".repeat(2 << 20)`,
  "very many fields": `":a".repeat(6 << 20)`,
};

test.each(Object.entries(TEXTS))("a database of %s takes little more memory than its text", (_what, text) => {
  const script = `
    const { findUser, groupsOfUser } = await import("${import.meta.dir}/../../../src/base/user-database.ts");
    const text = Buffer.from(${text}).toString();
    const most = () => Number(/VmHWM:\\s+(\\d+)/.exec(require("node:fs").readFileSync("/proc/self/status", "utf8"))[1]);
    const before = most();
    findUser(text, "root");
    groupsOfUser(text, "root");
    console.log(most() - before);`;
  const { stdout, stderr } = Bun.spawnSync([process.execPath, "-e", script]);
  expect(stderr.toString()).toBe("");
  expect(Number(stdout) >> 10).toBeLessThan(64);
});
