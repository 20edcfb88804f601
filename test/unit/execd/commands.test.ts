// How many commands each user may run at the same time.
import { expect, test } from "bun:test";
import type { MachinedError } from "../../../src/base/error.ts";
import { Commands } from "../../../src/execd/commands.ts";

/** Takes places for a user until there is none; returns how many. */
function fill(commands: Commands, uid: number): number {
  for (let count = 0; ; count++) {
    try {
      commands.take(uid, undefined);
    } catch (error) {
      expect((error as MachinedError).code).toBe("LimitsExceeded");
      return count;
    }
  }
}

test("when many users run as many commands as they may, a user that runs none and root can still run one", () => {
  const commands = new Commands(() => {});
  expect(fill(commands, 1000)).toBe(32);
  for (let uid = 1001; uid < 1080; uid++) expect(fill(commands, uid)).toBeGreaterThan(0);
  commands.take(2000, undefined);
  for (let count = 0; count < 300; count++) commands.take(0, undefined);
  commands.take(2001, undefined);
});

test("where users have taken all places, other users are refused, and root is not", () => {
  const commands = new Commands(() => {});
  for (let uid = 1000; commands.size < 256; uid++) fill(commands, uid);
  expect(fill(commands, 5000)).toBe(0);
  const root = Array.from({ length: 300 }, () => commands.take(0, undefined));
  // Root's commands take no place of others.
  for (const place of root) place[Symbol.dispose]();
  expect(fill(commands, 5000)).toBe(0);
});

test("a user who acts as every subordinate user leaves the last quarter to others", () => {
  const commands = new Commands(() => {});
  for (let uid = 0x8000_0000; uid < 0x8000_0400; uid++) fill(commands, uid);
  expect(commands.size).toBe(32);
});

test("user ids of one range of a user namespace are counted as one user", () => {
  const commands = new Commands(() => {});
  expect(fill(commands, 0x8000_0000)).toBe(32);
  expect(fill(commands, 0x8000_0001)).toBe(0);
  expect(fill(commands, 0x8001_0000)).toBe(32);
});

test("a command's id is valid only for the user that started it", () => {
  const commands = new Commands(() => {});
  using _place = commands.take(0x8000_0000, "one");
  expect(() => commands.take(0x8000_0000, "one")).toThrow("is running already");
  commands.take(0x8000_0001, "one");
  expect(commands.signal(0x8000_0002, "one", 15)).toBe(false);
});
