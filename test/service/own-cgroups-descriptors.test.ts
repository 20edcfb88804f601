// The service manager of hosts without systemd where cgroups cannot be made: processes are found by their parents.
import { describe, expect, test } from "bun:test";
import { errnoNameOf } from "../../src/base/error.ts";
import { PidRef } from "../../src/kernel/process/pidref.ts";
import { OwnCgroups } from "../../src/machined/machines/own-cgroups.ts";
import { isRoot, needsRoot } from "../lib/daemon.ts";
import { expectNothingLeft, LEAK_ROUNDS, openDescriptors } from "../lib/descriptors.ts";
import { withoutDescriptors } from "../lib/no-descriptors.ts";
import { waitFor } from "../lib/wait-for.ts";

const SIGKILL = 9;
const SIGUSR1 = 10;
const LOG = { info: () => {}, warning: () => {}, debug: () => {} };

describe.skipIf(!isRoot)(`scopes without cgroups${needsRoot}`, () => {
  test("signals, failures and ends leave no descriptor open", async () => {
    const manager = new OwnCgroups(LOG);
    const script = "trap '' USR1; sleep 1000 & sleep 1000 & wait; wait; wait";
    const child = Bun.spawn(["sh", "-c", script], { stdio: ["ignore", "ignore", "ignore"] });
    using leader = PidRef.of(child.pid);
    const unit = `machine-no-such-${process.pid}.scope`;
    const place = { unit, subgroup: "", cgroup: "" };
    await manager.killUnit(place, leader, SIGUSR1, () => true);
    const before = openDescriptors();
    for (let i = 0; i < LEAK_ROUNDS; i++) await manager.killUnit(place, leader, SIGUSR1, () => true);
    for (let i = 0; i < LEAK_ROUNDS; i++) {
      const failure = await manager.killUnit(place, leader, 1000, () => true).catch((error: unknown) => error);
      expect(errnoNameOf(failure)).toBe("EINVAL");
    }
    for (let i = 0; i < LEAK_ROUNDS; i++) {
      // The leader can be opened, but not its children.
      const attempt = () => manager.killUnit(place, leader, SIGUSR1, () => true).catch((error: unknown) => error);
      // Where a thread of the engine has closed a descriptor of its own meanwhile, all processes are found.
      while (errnoNameOf(await withoutDescriptors(attempt, 2)) !== "EMFILE") expect(leader.isAlive()).toBe(true);
    }
    await waitFor(() => expectNothingLeft(before), "the descriptors of the calls");
    await manager.stopUnit(unit, leader);
    await child.exited;
    await waitFor(() => expectNothingLeft(before), "the last descriptors");
  });

  test("a kill takes descriptors for the processes of the scope, however many the host has", async () => {
    const manager = new OwnCgroups(LOG);
    const others = Array.from({ length: 20 }, () =>
      Bun.spawn(["sleep", "1000"], { stdio: ["ignore", "ignore", "ignore"] }),
    );
    const script = "sh -c 'sleep 1000 & echo $!; wait' & wait";
    const child = Bun.spawn(["sh", "-c", script], { stdio: ["ignore", "pipe", "ignore"] });
    try {
      const { value } = await child.stdout.getReader().read();
      using grandchild = PidRef.of(Number(Buffer.from(value ?? []).toString()));
      using leader = PidRef.of(child.pid);
      const place = { unit: `machine-no-such-${process.pid}.scope`, subgroup: "", cgroup: "" };
      await withoutDescriptors(() => manager.killUnit(place, leader, SIGKILL, () => true), 8);
      await child.exited;
      await waitFor(() => expect(grandchild.isAlive()).toBe(false), "the end of the leader's grandchild");
      for (const other of others) expect(other.exitCode).toBe(null);
    } finally {
      for (const process of [child, ...others]) process.kill("SIGKILL");
    }
  });
});
