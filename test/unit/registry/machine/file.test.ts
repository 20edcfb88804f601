// State files of machines in units and groups with unusual names.
import { expect, test } from "bun:test";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { MachineFiles } from "../../../../src/registry/machine/file.ts";
import type { Machine } from "../../../../src/registry/machine/machine.ts";

test("a machine in a unit whose name has no room for the link's prefix has a file, which is removed with it", () => {
  const directory = mkdtempSync(join(tmpdir(), "machined-files-"));
  try {
    const files = new MachineFiles(directory);
    for (const length of [250, 251, 255]) {
      const unit = `${"u".repeat(length - ".service".length)}.service`;
      const facts = {
        name: "m",
        id: null,
        uid: 0,
        class: "container",
        networkInterfaces: [],
        leader: { pid: 2, id: null },
      };
      files.save({ name: "m", facts, place: { unit, subgroup: "", cgroup: "" } } as unknown as Machine);
      expect(readdirSync(directory).sort()).toEqual(length === 250 ? ["m", `unit:${unit}`] : ["m"]);
      files.remove("m", unit, null);
      expect(readdirSync(directory)).toEqual([]);
    }
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test("the group of a machine below its unit is read as it was written, whatever its name", () => {
  const directory = mkdtempSync(join(tmpdir(), "machined-files-"));
  try {
    const files = new MachineFiles(directory);
    const facts = {
      name: "m",
      id: null,
      uid: 0,
      class: "container",
      networkInterfaces: [],
      leader: { pid: 2, id: null },
    };
    for (const subgroup of ["payload", "a b/\r\t\x01", '"$(x)`\\"\\', "\u2028/ü"]) {
      files.save({ name: "m", facts, place: { unit: "x.service", subgroup, cgroup: "" } } as unknown as Machine);
      const [found] = [...files.read()];
      expect(found?.kind === "machine" ? found.saved.subgroup : found?.kind).toBe(subgroup);
    }
  } finally {
    rmSync(directory, { recursive: true });
  }
});
