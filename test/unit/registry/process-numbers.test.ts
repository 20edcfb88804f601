// The process number of a leader that ended may be used for another process later: nothing is reported about that
// process.
import { afterAll, describe, expect, test } from "bun:test";
import { PidRef } from "../../../src/kernel/process/pidref.ts";
import { Addresses } from "../../../src/registry/machine/addresses.ts";
import { NO_DESCRIPTION } from "../../../src/registry/machine/description.ts";
import { Machine } from "../../../src/registry/machine/machine.ts";
import { MachineSet } from "../../../src/registry/machine/set.ts";
import { idMapsOf } from "../../../src/registry/machine/uid-map.ts";
import type { ServiceManager } from "../../../src/registry/ports.ts";

describe("the process that got the number of an ended leader", () => {
  const other = Bun.spawn(["unshare", "--user", "--net", "sleep", "1000"], { stdio: ["ignore", "ignore", "ignore"] });
  afterAll(async () => {
    other.kill("SIGKILL");
    await other.exited;
  });

  /** The pidfd refers to a process that has ended, the number belongs to a running one. */
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

  test("is not read for user ids: the error is ESRCH", async () => {
    const leader = await reused();
    expect(() => idMapsOf(leader)).toThrow("No such process");
  });

  test("is not read for addresses, also where it shares the host's network: the error is ESRCH", async () => {
    for (const pid of [other.pid, process.pid]) {
      const machine = machineOf(await reused(pid));
      expect(() => new Addresses().of(machine)).toThrow("No such process");
    }
  });
});
