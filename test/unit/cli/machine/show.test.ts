// `machinectl show -p NAME=VALUE`: which properties are printed.
import { expect, test } from "bun:test";
import { UTC } from "../../../../src/base/text/format.ts";
import { Variant } from "../../../../src/base/variant.ts";
import { printProperties } from "../../../../src/cli/machine/show.ts";
import { Session } from "../../../../src/cli/session/session.ts";
import { defaultSettings, type Settings } from "../../../../src/cli/session/settings.ts";
import { FakeProcess, WORLDS, type World } from "../fake-world.ts";

const PROPERTIES = new Map([
  ["Class", new Variant("s", "container")],
  ["ReadOnly", new Variant("b", true)],
]);

/** Returns what `show` prints with these values of -p. */
function shown(properties: string[], json: Settings["json"] = "off"): string {
  const process = new FakeProcess(WORLDS["empty"] as World);
  const session = new Session({ ...defaultSettings(), properties, json }, process);
  printProperties(session, PROPERTIES, { zone: UTC, separator: "" });
  return process.stdout;
}

test("a boolean is compared as a boolean, however its value is written", () => {
  for (const yes of ["yes", "true", "1", "ON"]) expect(shown([`ReadOnly=${yes}`])).toBe("ReadOnly=yes\n");
  for (const other of ["no", "false", "0", "", "maybe"]) expect(shown([`ReadOnly=${other}`])).toBe("");
});

test("of several values of a property the first counts, and none where the name stands alone as well", () => {
  expect(shown(["Class=container", "Class=vm"])).toBe("Class=container\n");
  expect(shown(["Class=vm", "Class=container"])).toBe("");
  for (const both of [
    ["Class", "Class=vm"],
    ["Class=vm", "Class"],
  ])
    expect(shown(both)).toBe("Class=container\n");
});

test("a value selects properties of a JSON object as well", () => {
  expect(shown(["Class=vm", "ReadOnly=1"], "short")).toBe('{"ReadOnly":true}\n');
});
