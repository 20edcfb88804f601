// Scopes without systemd: which processes a stop ends.
import { expect, test } from "bun:test";
import { cgroupOfProcess, removeCgroup } from "../../src/kernel/cgroup/cgroup.ts";
import { PidRef } from "../../src/kernel/process/pidref.ts";
import { OwnCgroups } from "../../src/machined/machines/own-cgroups.ts";
import type { Log, ScopeRequest } from "../../src/registry/ports.ts";
import { isRoot, needsRoot } from "../lib/daemon.ts";
import { waitFor } from "../lib/wait-for.ts";

const log = { debug: () => {} } as unknown as Log;
const UNIT = `machine-own-cgroups-${process.pid}.scope`;
const CONTROL = `machine-own-cgroups-control-${process.pid}.scope`;

test.skipIf(!isRoot)(
  `stopping a scope that has just ended does not stop a new scope of the same name${needsRoot}`,
  async () => {
    const children: Bun.Subprocess<"ignore", "pipe", "ignore">[] = [];
    const start = (...command: string[]) => {
      const child = Bun.spawn(command, { stdio: ["ignore", "pipe", "ignore"] });
      children.push(child);
      return child;
    };
    const startDeaf = async () => {
      const child = start("sh", "-c", "trap '' TERM; echo deaf; exec sleep 1000");
      await child.stdout.getReader().read();
      return child;
    };
    const scope = (unit: string, leader: PidRef) => manager.createScope({ unit, leader } as unknown as ScopeRequest);
    const manager = new OwnCgroups(log, 300);
    try {
      const [first, second] = [await startDeaf(), start("sleep", "1000")];
      using firstLeader = PidRef.of(first.pid);
      using secondLeader = PidRef.of(second.pid);
      await scope(UNIT, firstLeader);
      await manager.stopUnit(UNIT, firstLeader);
      first.kill("SIGKILL");
      await first.exited;
      await scope(UNIT, secondLeader);
      // Stopped later, and ignores SIGTERM: when it has been killed, the time of the first stop is over as well.
      const deaf = await startDeaf();
      using deafLeader = PidRef.of(deaf.pid);
      await scope(CONTROL, deafLeader);
      await manager.stopUnit(CONTROL, deafLeader);
      await deaf.exited;
      expect(secondLeader.isAlive()).toBe(true);
      expect(cgroupOfProcess(second.pid)).toContain(UNIT);
    } finally {
      for (const child of children) child.kill("SIGKILL");
      await Promise.all(children.map(({ exited }) => exited));
      for (const unit of [UNIT, CONTROL]) {
        await waitFor(() => removeCgroup(`/machine.slice/${unit}`), "the scope to be empty");
      }
    }
  },
);
