// Restoring machines whose start or stop an earlier daemon had requested.
import { expect, test } from "bun:test";
import { existsSync, mkdtempSync, readFileSync, readlinkSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ErrnoError } from "../../../../src/base/error.ts";
import { startTicksSoon } from "../../../../src/kernel/process/process-link.ts";
import { bootTimeUsec, monotonicUsec } from "../../../../src/kernel/syscall/time.ts";
import { MachineFiles } from "../../../../src/registry/machine/file.ts";
import { Registry } from "../../../../src/registry/machine/registry.ts";
import type { Log, ServiceManager } from "../../../../src/registry/ports.ts";
import { waitFor } from "../../../lib/wait-for.ts";

const JOB = "/org/freedesktop/systemd1/job/7";

test("the end of a job is waited for, though the service manager did not answer when the machine was restored", async () => {
  const directory = mkdtempSync(join(tmpdir(), "machined-restore-"));
  const child = Bun.spawn(["sleep", "infinity"], { stdio: ["ignore", "ignore", "ignore"] });
  try {
    const file = join(directory, "m");
    const unit = "machine-m.scope";
    writeFileSync(file, `NAME=m\nCLASS=container\nSCOPE=${unit}\nSCOPE_JOB=${JOB}\nLEADER=${child.pid}\n`);
    const ended = Promise.withResolvers<string>();
    const asked: string[] = [];
    const manager = {
      placeOf: () => ({ unit, subgroup: "", cgroup: "" }),
      machineScopes: () => Promise.resolve([]),
      isJobPending: () => {
        asked.push("pending");
        return Promise.reject(new ErrnoError("ENOTCONN", "no connection"));
      },
      jobResult: (job: string) => {
        asked.push(job);
        return ended.promise;
      },
    } as unknown as ServiceManager;
    const log = { debug() {}, info() {}, error() {}, warning() {} } as unknown as Log;
    const events = { machineNew() {}, machineRemoved() {}, machineVanished() {}, leaderExited() {} };
    const registry = new Registry(new MachineFiles(directory), manager, log, events);
    registry.restore();
    expect(registry.get("m").state).toBe("opening");
    await waitFor(() => expect(asked).toEqual(["pending", JOB]), "the wait for the job");
    ended.resolve("done");
    await waitFor(() => expect(registry.get("m").state).toBe("running"), "the end of the job");
    expect(readFileSync(file, "utf8")).not.toContain("SCOPE_JOB");
    registry.forget(registry.get("m"), "unregistered");
  } finally {
    child.kill("SIGKILL");
    await child.exited;
    rmSync(directory, { recursive: true });
  }
});

/** Restores the machines whose files `write` has made, each in the unit of its leader, and forgets them after `use`. */
function withRestored(
  write: (directory: string) => void,
  use: (registry: Registry, directory: string) => void,
  unitOf: (pid: number) => string = () => "m.service",
): void {
  const directory = mkdtempSync(join(tmpdir(), "machined-restore-"));
  const manager = {
    placeOf: (pid: number) => ({ unit: unitOf(pid), subgroup: "", cgroup: `/${unitOf(pid)}` }),
    machineScopes: () => Promise.resolve([]),
  } as unknown as ServiceManager;
  const log = { debug() {}, info() {}, error() {}, warning() {} } as unknown as Log;
  const events = { machineNew() {}, machineRemoved() {}, machineVanished() {}, leaderExited() {} };
  const registry = new Registry(new MachineFiles(directory), manager, log, events);
  try {
    write(directory);
    registry.restore();
    use(registry, directory);
  } finally {
    for (const machine of [...registry.list()]) registry.forget(machine, "unregistered");
    rmSync(directory, { recursive: true });
  }
}

const TICK_USEC = 10_000n;

/** Returns how long the host was suspended, in µs, to a tenth of a tick. */
function suspended(): bigint {
  for (;;) {
    const before = monotonicUsec();
    const boot = bootTimeUsec();
    if (monotonicUsec() - before < TICK_USEC / 10n) return boot - before;
  }
}

test("where pidfds have no inodes, a process that was started after the registration is neither leader nor supervisor", async () => {
  // The leader that was registered when it had just been started: this process.
  const ownTicks = startTicksSoon(process.pid);
  const suspendedUsec = suspended();
  const registeredUsec = ownTicks * TICK_USEC + TICK_USEC / 2n - suspendedUsec;
  const children: Bun.Subprocess[] = [];
  const start = () => {
    for (;;) {
      const child = Bun.spawn(["sleep", "infinity"], { stdio: ["ignore", "ignore", "ignore"] });
      children.push(child);
      if (startTicksSoon(child.pid) > ownTicks) return child.pid;
    }
  };
  const [later, other] = [start(), start()];
  const write = (directory: string, name: string, fields: string) =>
    writeFileSync(
      join(directory, name),
      `NAME=${name}\nCLASS=container\nSCOPE=m.service\n${fields}\nREALTIME=1\nMONOTONIC=${registeredUsec}\n`,
    );
  const files = (directory: string) => {
    write(directory, "kept", `LEADER=${process.pid}\nSUPERVISOR=${process.ppid}`);
    write(directory, "gone", `LEADER=${other}`);
  };
  const filesOfOther = (directory: string) => write(directory, "alone", `LEADER=${process.pid}\nSUPERVISOR=${later}`);
  try {
    withRestored(files, (registry, directory) => {
      expect(registry.get("kept").facts.supervisor?.pid).toBe(process.ppid);
      expect(registry.find("gone")).toBe(null);
      expect(existsSync(join(directory, "gone"))).toBe(false);
    });
    withRestored(filesOfOther, (registry) => {
      expect(registry.get("alone").facts.supervisor).toBe(null);
      expect(registry.get("alone").hasLostSupervisor).toBe(true);
    });
  } finally {
    for (const child of children) child.kill("SIGKILL");
    await Promise.all(children.map(({ exited }) => exited));
  }
});

test("the link of a unit passes from a machine that has ended to another one of the unit", () => {
  const { pid: ended } = Bun.spawnSync(["true"]);
  const text = (name: string, leader: number) =>
    `NAME=${name}\nCLASS=container\nSCOPE=m.service\nLEADER=${leader}\nLEADER_PIDFDID=`;
  // File systems list files in the order of their making, its reverse, or by names.
  for (const [dead, alive] of [
    ["a", "b"],
    ["b", "a"],
  ] as const) {
    for (const order of [
      [dead, alive],
      [alive, dead],
    ] as const) {
      const write = (directory: string) => {
        const files = { [dead]: `${text(dead, ended)}1\n`, [alive]: `${text(alive, process.pid)}\n` };
        for (const name of order) writeFileSync(join(directory, name), files[name] as string);
        symlinkSync(dead, join(directory, "unit:m.service"));
      };
      withRestored(write, (registry, directory) => {
        expect(registry.find(dead)).toBe(null);
        expect(readlinkSync(join(directory, "unit:m.service"))).toBe(alive);
      });
    }
  }
});

test("a scope is the machine's own again where it was made for the machine, not where the machine was registered in it", () => {
  const write = (directory: string, name: string, pid: number, subgroup: string) => {
    const place = `SCOPE=machine-${name}.scope\nSUBGROUP=${subgroup}`;
    writeFileSync(join(directory, name), `NAME=${name}\nCLASS=container\n${place}\nLEADER=${pid}\n`);
  };
  const files = (directory: string) => {
    write(directory, "made", process.pid, "");
    write(directory, "registered", process.ppid, "payload");
  };
  const unitOf = (pid: number) => `machine-${pid === process.pid ? "made" : "registered"}.scope`;
  const use = (registry: Registry) => {
    expect(registry.get("made").ownsUnit).toBe(true);
    expect(registry.get("registered").ownsUnit).toBe(false);
  };
  withRestored(files, use, unitOf);
});
