// `machinectl status` where journalctl(1) cannot be started.
import { expect, test } from "bun:test";
import { runMachinectl } from "../../../../src/cli/program/machinectl.ts";
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
