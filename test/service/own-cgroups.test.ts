// Scopes without systemd: which processes a stop ends.
import { expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  attachProcess,
  cgroupExists,
  cgroupOfProcess,
  createCgroup,
  removeCgroup,
} from "../../src/kernel/cgroup/cgroup.ts";
import { PidRef } from "../../src/kernel/process/pidref.ts";
import { MACHINE_SLICE, OwnCgroups } from "../../src/machined/machines/own-cgroups.ts";
import type { Log, ScopeRequest } from "../../src/registry/ports.ts";
import { errorOf, isRoot, manager, needsRoot, register, TestDaemon } from "../lib/daemon.ts";
import { havePrograms } from "../lib/programs.ts";
import { GUARD_MS, waitFor } from "../lib/wait-for.ts";

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
    const manager = new OwnCgroups(log, MACHINE_SLICE, 300);
    try {
      const [first, second] = [await startDeaf(), start("sleep", "1000")];
      using firstLeader = PidRef.of(first.pid);
      using secondLeader = PidRef.of(second.pid);
      await scope(UNIT, firstLeader);
      await manager.stopUnit(UNIT, firstLeader);
      // A machine that was terminated is stopped once more when it has ended.
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
        await waitFor(() => removeCgroup(`${MACHINE_SLICE}/${unit}`), "the scope to be empty");
      }
    }
  },
);

test.skipIf(!isRoot)(
  `the end of a machine does not end the machine of another daemon that has its name${needsRoot}`,
  async () => {
    await using one = await TestDaemon.start();
    await using two = await TestDaemon.start();
    const leaders: number[] = [];
    for (const daemon of [one, two]) {
      const leader = await daemon.leader();
      leaders.push(leader);
      await register(await daemon.bus(), "same", leader, { create: true });
    }
    const groups = leaders.map((leader) => cgroupOfProcess(leader));
    expect(groups[0]).not.toBe(groups[1]);
    await manager(await one.bus(), "TerminateMachine", "s", "same");
    await waitFor(() => expect(cgroupExists(groups[0] ?? "")).toBe(false), "the end of the scope");
    using other = PidRef.of(leaders[1] ?? 0);
    expect(other.isAlive()).toBe(true);
    expect(await manager(await two.bus(), "GetMachine", "s", "same")).toHaveLength(1);
  },
);

test.skipIf(!isRoot)(
  `the end of a machine removes its own cgroups only, not an empty one that another machine has made${needsRoot}`,
  async () => {
    await using daemon = await TestDaemon.start();
    const bus = await daemon.bus();
    const groups: string[] = [];
    for (const name of ["stays", "ends"]) {
      const leader = await daemon.leader();
      await register(bus, name, leader, { create: true });
      groups.push(cgroupOfProcess(leader));
    }
    const [stays = "", ends = ""] = groups;
    createCgroup(`${stays}/prepared`);
    createCgroup(`${ends}/prepared`);
    await manager(bus, "TerminateMachine", "s", "ends");
    await waitFor(() => expect(cgroupExists(ends)).toBe(false), "the end of the scope");
    // The slice is looked at after the scope: the next scope's end comes later.
    const leader = await daemon.leader();
    await register(bus, "last", leader, { create: true });
    const last = cgroupOfProcess(leader);
    await manager(bus, "TerminateMachine", "s", "last");
    await waitFor(() => expect(cgroupExists(last)).toBe(false), "the end of the last scope");
    expect(cgroupExists(`${stays}/prepared`)).toBe(true);
    await manager(bus, "TerminateMachine", "s", "stays");
    await waitFor(() => expect(cgroupExists(daemon.slice)).toBe(false), "the end of the slice");
  },
);

test.skipIf(!isRoot)(
  `the processes of an unregistered machine do not become those of the next one of its name${needsRoot}`,
  async () => {
    await using daemon = await TestDaemon.start();
    const bus = await daemon.bus();
    const [first, second] = [await daemon.leader(), await daemon.leader()];
    await register(bus, "web", first, { create: true });
    await manager(bus, "UnregisterMachine", "s", "web");
    const refusal =
      "org.freedesktop.systemd1.UnitExists: Unit machine-web.scope was already loaded or has a fragment file.";
    expect(await errorOf(register(bus, "web", second, { create: true }))).toBe(refusal);
    using leader = PidRef.of(first);
    leader.kill(9);
    leader.waitExit(GUARD_MS);
    await register(bus, "web", second, { create: true });
    expect(cgroupOfProcess(second)).toContain("machine-web.scope");
  },
);

test.skipIf(!isRoot)(
  `killing a machine in a group below the scope of another one does not kill that one${needsRoot}`,
  async () => {
    await using daemon = await TestDaemon.start();
    const bus = await daemon.bus();
    const [outer, inner] = [await daemon.leader(), await daemon.leader()];
    await register(bus, "outer", outer, { create: true });
    const group = `${cgroupOfProcess(outer)}/inner`;
    createCgroup(group);
    attachProcess(group, inner);
    await register(bus, "inner", inner);
    using leader = PidRef.of(outer);
    using other = PidRef.of(inner);
    await manager(bus, "KillMachine", "ssi", "inner", "all", 9);
    expect(other.waitExit(GUARD_MS)).toBe(true);
    await waitFor(
      async () => expect(await errorOf(manager(bus, "GetMachine", "s", "inner"))).toContain("No machine"),
      "its end",
    );
    expect(leader.isAlive()).toBe(true);
  },
);

test.skipIf(!isRoot)(
  `a process belongs to its machine also in a group whose name has the end of a line${needsRoot}`,
  async () => {
    await using daemon = await TestDaemon.start();
    const bus = await daemon.bus();
    const [leader, other] = [await daemon.leader(), await daemon.leader()];
    await register(bus, "odd", leader, { create: true });
    const group = `${cgroupOfProcess(leader)}/a\rb`;
    createCgroup(group);
    attachProcess(group, other);
    expect(await manager(bus, "GetMachineByPID", "u", other)).toEqual(["/org/freedesktop/machine1/machine/odd"]);
  },
);

const canUnmount = isRoot && havePrograms("a host without control groups", "unshare", "mount", "ip");

test.skipIf(!canUnmount)(
  `machines are registered, made, shown, restored and ended on a host without control groups${canUnmount ? "" : " (left out: needs root, unshare, mount and ip)"}`,
  async () => {
    const without = ["unshare", "--mount", "sh", "-c", 'umount -l -R /sys/fs/cgroup && exec "$@"', "sh"];
    const ours = [...without, process.execPath, join(import.meta.dir, "../../src/main.ts")];
    await using daemon = TestDaemon.prepare({}, [], ours);
    await daemon.run();
    const bus = await daemon.bus();
    const [made, registered] = [await daemon.leader(), await daemon.leader("--net")];
    await register(bus, "made", made, { create: true });
    await register(bus, "registered", registered);
    const env = { ...process.env, MACHINED_RUNTIME_DIRECTORY: daemon.runtime };
    const status = Bun.spawn([...ours, "machinectl", "status", "registered"], { env, stdout: "pipe" });
    expect(await new Response(status.stdout).text()).toContain("sleep 1000");
    expect(await status.exited).toBe(0);
    // The machine that has no group comes first, and the next one is watched as well.
    const network = `--net=/proc/${registered}/ns/net`;
    const address = ["ip", "address", "add", "192.0.2.7/24", "dev", "lo"];
    expect(Bun.spawnSync(["nsenter", network, ...address]).exitCode).toBe(0);
    const varlink = await daemon.varlink();
    const events = () => varlink.callAll("io.machined.Events.Subscribe", { sinceUSec: 0, follow: false });
    await waitFor(async () => expect(JSON.stringify(await events())).toContain("192.0.2.7"), "the event");
    // Kernels before 6.9 have no inodes of pidfds, and files no trace of them.
    await daemon.kill();
    for (const name of ["made", "registered"]) {
      const file = join(daemon.runtime, "machines", name);
      writeFileSync(file, readFileSync(file, "utf8").replaceAll(/^\w+_PIDFDID=.*\n/gm, ""));
    }
    await daemon.run();
    const again = await daemon.bus();
    for (const name of ["made", "registered"]) {
      await manager(again, "TerminateMachine", "s", name);
      await waitFor(
        async () => expect(await errorOf(manager(again, "GetMachine", "s", name))).toContain("No machine"),
        "its end",
      );
    }
    expect(daemon.log).not.toContain("Bug");
  },
);
