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
])(
  "an image with the stop signal %j gets KillSignal=%s: SIGTERM where it is missing or invalid",
  (StopSignal, signal) => {
    expect(of({ StopSignal })).toBe(`[Exec]\nBoot=no\nKillSignal=${signal}\n`);
  },
);

test("an image whose configuration does not say how to run it gets no settings file", () => {
  expect(settingsOf(Buffer.from("{}"))).toBeNull();
});
