// The number of a leader that is gone belongs to another process one day: nothing is said about that one.
import { afterAll, describe, expect, test } from "bun:test";
import { PidRef } from "../../../src/kernel/process/pidref.ts";
import { Addresses } from "../../../src/registry/machine/addresses.ts";
import { NO_DESCRIPTION } from "../../../src/registry/machine/description.ts";
import { Machine } from "../../../src/registry/machine/machine.ts";
import { MachineSet } from "../../../src/registry/machine/set.ts";
import { idMapsOf } from "../../../src/registry/machine/uid-map.ts";
import type { ServiceManager } from "../../../src/registry/ports.ts";

describe("a dead leader whose number another process has", () => {
  const other = Bun.spawn(["unshare", "--user", "--net", "sleep", "1000"], { stdio: ["ignore", "ignore", "ignore"] });
  afterAll(async () => {
    other.kill("SIGKILL");
    await other.exited;
  });

  /** The pidfd is of a process that is gone, the number of one that lives. */
  async function reused(pid = other.pid): Promise<PidRef> {
    const child = Bun.spawn(["sleep", "1000"], { stdio: ["ignore", "ignore", "ignore"] });
    const gone = PidRef.of(child.pid);
    child.kill("SIGKILL");
    await child.exited;
    return Object.create(gone, { pid: { value: pid } }) as PidRef;
  }

  function machineOf(leader: PidRef): Machine {
    const machine = new Machine({
      ...NO_DESCRIPTION,
      ...{ name: "old", id: null, class: "container", uid: 0, leader, supervisor: null },
    });
    machine.started = true;
    return machine;
  }

  test("belongs to no machine", async () => {
    const manager = { placeOf: () => null } as unknown as ServiceManager;
    const set = new MachineSet(manager);
    set.add(machineOf(await reused()));
    expect(set.withLeader(other.pid)).toBeNull();
    expect(set.findByProcess(other.pid)).toBeNull();
  });

  test("has no users", async () => {
    const leader = await reused();
    expect(() => idMapsOf(leader)).toThrow("No such process");
  });

  test("has no addresses, nor is it known to share the host's network", async () => {
    for (const pid of [other.pid, process.pid]) {
      const machine = machineOf(await reused(pid));
      expect(() => new Addresses().of(machine)).toThrow("No such process");
    }
  });
});
