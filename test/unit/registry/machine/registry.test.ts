// Machines whose start fails.
import { expect, test } from "bun:test";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PidRef } from "../../../../src/kernel/process/pidref.ts";
import { NO_DESCRIPTION } from "../../../../src/registry/machine/description.ts";
import { MachineFiles } from "../../../../src/registry/machine/file.ts";
import { Registry } from "../../../../src/registry/machine/registry.ts";
import type { Log, ServiceManager } from "../../../../src/registry/ports.ts";

const manager = {} as ServiceManager;
const log = { debug() {}, info() {}, error() {}, warning() {} } as unknown as Log;

test.each(["drop", "abandon"] as const)(
  "a machine whose start fails leaves no file, nor writes one later (%s)",
  (forget) => {
    const directory = mkdtempSync(join(tmpdir(), "machined-registry-"));
    try {
      const machines = join(directory, "machines");
      const machineNew = () => {
        throw new Error("not announced");
      };
      const events = { machineNew, machineRemoved() {}, machineVanished() {}, leaderExited() {} };
      const registry = new Registry(new MachineFiles(machines), manager, log, events);
      const fail = () => {
        const facts = {
          name: "m",
          id: null,
          class: "container",
          uid: 0,
          leader: PidRef.self(),
          supervisor: null,
        } as const;
        const machine = registry.add({ ...NO_DESCRIPTION, ...facts });
        expect(() => registry.start(machine)).toThrow("not announced");
        registry[forget](machine);
      };
      fail();
      expect(readdirSync(machines)).toEqual([]);
      // A file in place of the directory: nothing can be saved.
      rmSync(machines, { recursive: true });
      writeFileSync(machines, "");
      fail();
      rmSync(machines);
      registry.saveUnsaved();
      expect(readdirSync(directory)).toEqual([]);
    } finally {
      rmSync(directory, { recursive: true });
    }
  },
);
