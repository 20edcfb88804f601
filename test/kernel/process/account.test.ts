import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { accountInFile, accountOfLibrary, homeDirectory, ownAccount } from "../../../src/kernel/process/account.ts";

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "account-"));
});
afterAll(() => rmSync(directory, { recursive: true }));

const uid = process.geteuid?.() ?? 0;
const liar = { ...process.env, USER: "liar", LOGNAME: "liar", USERNAME: "liar" };

test("the user of a process is read from the kernel, not from $USER", async () => {
  const script = `console.log((await import("${import.meta.dir}/../../../src/kernel/process/account.ts")).ownAccount().name)`;
  const names = [liar, { PATH: process.env["PATH"] }].map((env) =>
    Bun.spawnSync([process.execPath, "-e", script], { env }).stdout.toString().trim(),
  );
  const known = Bun.spawnSync(["id", "-un"]).stdout.toString().trim();
  expect(names).toEqual([known, known]);
});

test("getpwuid_r(3) returns the same account as the file does", () => {
  const own = ownAccount();
  expect(own.uid).toBe(uid);
  expect(accountOfLibrary(uid)).toEqual(own);
});

test("getpwuid_r(3) returns the same account in every call", () => {
  const first = accountOfLibrary(0);
  expect(first?.name).toBe("root");
  for (let round = 0; round < 2000; round++) expect(accountOfLibrary(0)).toEqual(first);
});

test("a user without a record is not found", () => {
  expect(accountOfLibrary(4_000_000_123)).toBeNull();
  expect(accountInFile(4_000_000_123, "/etc/passwd")).toBeNull();
});

test("malformed lines are skipped, and a missing file has no users", () => {
  const path = join(directory, "passwd");
  writeFileSync(path, "\n+::::::\n:x:7:7::/nowhere:\nseven:x:7:7:Seven:/home/7:/bin/sh\neight:x:8:8:::\n");
  expect(accountInFile(7, path)).toEqual({ uid: 7, name: "seven", home: "/home/7" });
  expect(accountInFile(8, path)).toEqual({ uid: 8, name: "eight", home: "/" });
  expect(accountInFile(7, join(directory, "absent"))).toBeNull();
});

test("a user's files are below $HOME if that is an absolute path, else below the account's home directory", () => {
  expect(homeDirectory({ HOME: "/somewhere" })).toBe("/somewhere");
  for (const HOME of [undefined, "", "relative"]) expect(homeDirectory({ HOME })).toBe(ownAccount().home);
});
