// Numbers of processes that the manager in a machine reports: on this host, other processes have them.
import { expect, test } from "bun:test";
import { runMachinectl } from "../../../../src/cli/program/machinectl.ts";
import { descriptorsTo, LEAK_ROUNDS } from "../../../lib/descriptors.ts";
import { ALPHA } from "../fake-machines.ts";
import { FakeProcess, WORLDS, type World } from "../fake-world.ts";

/** A leader that no process of this host is. */
const LEADER = 999_999_999;
const WORLD: World = { ...(WORLDS["one"] as World), machines: [{ ...ALPHA, leader: LEADER }] };

async function run(...args: string[]): Promise<FakeProcess & { status: number }> {
  const process = new FakeProcess(WORLD);
  return Object.assign(process, { status: await runMachinectl(args, process) });
}

test("exec enters no process of this host for a machine of the manager in a machine", async () => {
  for (const place of ["alpha", "alpha,beta", "a*"]) {
    const { stderr, status } = await run("-M", "root@outer", "exec", place, "true");
    expect([stderr, status]).toEqual([
      "exec runs commands in machines of this host, and with -H in those of another one: leave out -M\n",
      125,
    ]);
  }
  const { stderr } = await run("-M", "root@.host", "exec", "alpha", "true");
  expect(stderr).not.toContain("leave out -M");
});

test("wait looks at no process of this host for a machine of the manager in a machine", async () => {
  const { stderr, status } = await run("-M", "root@outer", "wait", "alpha");
  expect([stderr, status]).toEqual([
    "--for=booted works for machines of this host only: use --for=running, address or ssh with -M\n",
    1,
  ]);
});

test("exec that fails before it enters has closed what it began to load", async () => {
  for (let round = 0; round < LEAK_ROUNDS; round++) {
    const { status } = await run("exec", "alpha", "true");
    expect(status).toBe(125);
  }
  expect(descriptorsTo("/memfd:machined-enter (deleted)")).toBe(0);
});
