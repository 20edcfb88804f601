// `machinectl status` where something of this host cannot be read, or is not the machine's.
import { expect, test } from "bun:test";
import { localProcessName } from "../../../../src/cli/local/names.ts";
import { runMachinectl } from "../../../../src/cli/program/machinectl.ts";
import { PidRef } from "../../../../src/kernel/process/pidref.ts";
import { ALPHA } from "../fake-machines.ts";
import { FakeProcess, FakeSyscallError, WORLDS, type World } from "../fake-world.ts";

const COMPLAINT = "Failed to read the journal: Resource temporarily unavailable\n";

function client(): FakeProcess {
  const process = new FakeProcess(WORLDS["status"] as World);
  process.run = () => Promise.reject(new FakeSyscallError("EAGAIN"));
  return process;
}

test("a machine is shown without its journal where no process is free to read that", async () => {
  const page = client();
  expect([await runMachinectl(["status", "alpha"], page), page.stderr]).toEqual([0, COMPLAINT]);
  expect(page.stdout).toContain("\t    Unit: systemd-nspawn@alpha.service\n");
  const object = client();
  expect([await runMachinectl(["status", "--json=short", "alpha"], object), object.stderr]).toEqual([0, COMPLAINT]);
  expect(JSON.parse(object.stdout)).toMatchObject({ name: "alpha", journal: [] });
});

test("a process of another host or of a container is not given the name of the local one with its number", async () => {
  const ids = async (...options: string[]) => {
    const process = new FakeProcess(WORLDS["status"] as World);
    const asked: unknown[] = [];
    process.processName = async (_pid: number, id?: bigint | null) => {
      asked.push(id);
      return null;
    };
    expect(await runMachinectl([...options, "status", "alpha"], process)).toBe(0);
    return asked;
  };
  expect(await ids()).toEqual([null, null]);
  expect(await ids("-H", "web1")).toEqual([ALPHA.leaderPidfdId, ALPHA.supervisorPidfdId]);
  using self = PidRef.self();
  const own = await localProcessName(self.pid);
  expect(own).not.toBeNull();
  expect(await localProcessName(self.pid, self.id)).toBe(own);
  // Before Linux 6.9 there are no ids to compare.
  expect(await localProcessName(self.pid, 1n)).toBe(self.id === null ? own : null);
});

test("the suffix of IPv6 addresses is the one interface that still exists", async () => {
  const shown = async (...interfaces: number[]) => {
    const machine = { ...ALPHA, interfaces, addresses: ["fe80::1"] };
    const process = new FakeProcess({ ...(WORLDS["status"] as World), machines: [machine] });
    process.interfaceName = async (index) => (index < 90 ? `ve-${index}` : null);
    expect(await runMachinectl(["status", "alpha"], process)).toBe(0);
    return /Address: (.*)/.exec(process.stdout)?.[1];
  };
  expect(await shown(3)).toBe("fe80::1%3");
  expect(await shown(3, 99)).toBe("fe80::1%3");
  expect(await shown(99)).toBe("fe80::1");
  expect(await shown(3, 4)).toBe("fe80::1");
});
