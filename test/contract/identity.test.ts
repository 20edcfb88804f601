// The user of a process is looked up in one place: src/kernel/process/account.ts.
import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Glob } from "bun";
import { TOP } from "../lib/run-tests.ts";

/** Variables that a caller may set to any value, and functions of Node that trust them. */
const UNTRUSTED = /\b(?:homedir|userInfo)\b|(?:\benv\b|environment)[^\n]{0,12}\b(?:USER|LOGNAME|USERNAME|HOME)\b/i;

test("no file except account.ts takes a user's name or home directory from the environment", () => {
  const files = [...new Glob("src/**/*.ts").scanSync(TOP)].filter((path) => path !== "src/kernel/process/account.ts");
  expect(files.length).toBeGreaterThan(100);
  const found = files.filter((path) => UNTRUSTED.test(readFileSync(join(TOP, path), "utf8")));
  expect(found).toEqual([]);
});
