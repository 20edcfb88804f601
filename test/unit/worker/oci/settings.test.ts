import { expect, test } from "bun:test";
import { settingsOf } from "../../../../src/worker/oci/settings.ts";

const of = (config: object) => settingsOf(Buffer.from(JSON.stringify({ config })));

test.each([
  ["SIGINT", "SIGINT"],
  ["9", "9"],
  ["SIGRTMIN+3", "SIGRTMIN+3"],
  [undefined, "SIGTERM"],
  ["", "SIGTERM"],
  ["SIGINT\nBind=/", "SIGTERM"],
  ["rm -rf", "SIGTERM"],
])("an image that wants to be stopped by %j is stopped by %s, never killed at once", (StopSignal, signal) => {
  expect(of({ StopSignal })).toBe(`[Exec]\nBoot=no\nKillSignal=${signal}\n`);
});

test("an image that says nothing of how to run it has no settings", () => {
  expect(settingsOf(Buffer.from("{}"))).toBeNull();
});
