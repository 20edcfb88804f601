// Who may run how many commands at a time.
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

test("users who run all that they may leave room for a user who runs nothing, and for root", () => {
  const commands = new Commands(() => {});
  expect(fill(commands, 1000)).toBe(32);
  for (let uid = 1001; uid < 1080; uid++) expect(fill(commands, uid)).toBeGreaterThan(0);
  commands.take(2000, undefined);
  for (let count = 0; count < 300; count++) commands.take(0, undefined);
  commands.take(2001, undefined);
});

test("users that only a user namespace of the same range has are counted as one", () => {
  const commands = new Commands(() => {});
  expect(fill(commands, 0x8000_0000)).toBe(32);
  expect(fill(commands, 0x8000_0001)).toBe(0);
  expect(fill(commands, 0x8001_0000)).toBe(32);
});

test("a command is known by its id to its own user alone", () => {
  const commands = new Commands(() => {});
  using _place = commands.take(0x8000_0000, "one");
  expect(() => commands.take(0x8000_0000, "one")).toThrow("is running already");
  commands.take(0x8000_0001, "one");
  expect(commands.signal(0x8000_0002, "one", 15)).toBe(false);
});
