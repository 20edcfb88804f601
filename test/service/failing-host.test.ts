// A host that fails: full file systems, no free descriptors, files where directories belong. The daemon continues, logs
// what it could not do, and does it later.
import { afterEach, describe, expect, test } from "bun:test";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { errorOf, isRoot, manager, needsRoot, register, TestDaemon } from "../lib/daemon.ts";
import { openDescriptors } from "../lib/descriptors.ts";
import { hasBusDaemon, PlayedManager, TestBus } from "../lib/private-bus.ts";
import { waitFor } from "../lib/wait-for.ts";
import { TestMachine } from "./open-support.ts";

const BUG = /Bug in/;

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return !/^State:\tZ/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch {
    return false;
  }
}

function run(...command: string[]): void {
  const { exitCode, stderr } = Bun.spawnSync(command, { stdin: "ignore" });
  if (exitCode !== 0) throw new Error(`${command.join(" ")}: ${stderr}`);
}

/** A small file system at `path`; ended by `using`. */
function smallFileSystem(path: string): Disposable & { fill(): void; free(): void } {
  mkdirSync(path, { recursive: true });
  run("mount", "-t", "tmpfs", "-o", "size=256k,nr_inodes=100", "small", path);
  const filler = join(path, "no_machine");
  return {
    fill: () => {
      for (let size = 64 << 10; size > 0; size >>= 1) {
        try {
          for (;;) writeFileSync(filler, Buffer.alloc(size), { flag: "a" });
        } catch {
          // full for this size
        }
      }
    },
    free: () => rmSync(filler),
    [Symbol.dispose]: () => run("umount", "-l", path),
  };
}

/** Bun starts further threads for compilation and garbage collection, and aborts when it cannot. */
const FEW_THREADS = { BUN_JSC_useConcurrentJIT: "0", BUN_JSC_useConcurrentGC: "0", BUN_JSC_numberOfGCMarkers: "1" };

describe.skipIf(!isRoot)(`a failing host${needsRoot}`, () => {
  const ends: AsyncDisposable[] = [];
  const prepared = (env: Record<string, string> = {}) => {
    const daemon = TestDaemon.prepare(env);
    ends.push(daemon);
    return daemon;
  };
  afterEach(async () => {
    for (const end of ends.splice(0).reverse()) await end[Symbol.asyncDispose]();
  });
  const names = async (daemon: TestDaemon) =>
    ((await manager(await daemon.bus(), "ListMachines"))[0] as string[][]).map(([name]) => name);
  const fileOf = (daemon: TestDaemon, name: string) => join(daemon.runtime, "machines", name);

  test("with a full /run no machine is lost, at a restart or at its start; state files are written when there is room", async () => {
    const daemon = prepared();
    using full = smallFileSystem(join(daemon.runtime, "machines"));
    await daemon.run();
    await register(await daemon.bus(), "before", await daemon.leader());
    full.fill();
    const leader = await daemon.leader();
    await register(await daemon.bus(), "created", leader, { create: true });
    await register(await daemon.bus(), "registered", await daemon.leader());
    expect(isAlive(leader)).toBe(true);
    expect(existsSync(fileOf(daemon, "created"))).toBe(false);
    await daemon.kill("SIGKILL");
    await daemon.run();
    expect(await names(daemon)).toEqual([".host", "before"]);
    await register(await daemon.bus(), "again", leader);
    full.free();
    await waitFor(() => expect(readFileSync(fileOf(daemon, "again"), "utf8")).toContain("NAME=again"), "the file");
    expect(daemon.log).toContain("Failed to save the state of machine created: ENOSPC");
    expect(daemon.log).not.toMatch(BUG);
    await daemon.kill();
  });

  test.each(["resolve.hook", "userdb", "machine", "machines"])(
    "a file in place of the directory %p is a warning, and everything else works",
    async (name) => {
      const bus = await TestBus.start();
      ends.push(bus);
      const daemon = prepared({ DBUS_SYSTEM_BUS_ADDRESS: bus.address });
      writeFileSync(join(daemon.runtime, name), "");
      const started = daemon.run();
      const client = await bus.connect();
      await waitFor(() => manager(client, "ListMachines"), "the daemon on the bus");
      await register(client, "m", await daemon.leader(), { create: true });
      expect(JSON.stringify(await manager(client, "ListMachines"))).toContain('"m"');
      client.close();
      expect(daemon.log).toMatch(name === "machines" ? /state of machine.*(ENOTDIR|EEXIST)/ : /Cannot listen on .*/);
      expect(daemon.log).not.toMatch(BUG);
      rmSync(join(daemon.runtime, name));
      if (name === "machine") started.catch(() => {});
      else await started;
    },
  );

  test("without free descriptors a registration fails with EMFILE, and the leader is not killed", async () => {
    const daemon = prepared();
    await daemon.run();
    const bus = await daemon.bus();
    const leader = await daemon.leader();
    await register(bus, "first", await daemon.leader(), { create: true });
    // The poller's thread reads its source when it starts. It runs when the end of a machine has been noticed.
    const ended = await daemon.leader();
    await register(bus, "ended", ended, { create: true });
    process.kill(ended, "SIGKILL");
    await waitFor(async () => expect(await names(daemon)).not.toContain("ended"), "the end of a machine");
    const open = () => openDescriptors(daemon.pid);
    let failures = 0;
    // Each step leaves one more descriptor, so that every call that needs one fails once.
    for (let spare = 0; ; spare++) {
      run("prlimit", "--pid", String(daemon.pid), `--nofile=${open() + spare}:`);
      const outcome = await errorOf(register(bus, "next", leader, { create: true })).catch(() => "done");
      run("prlimit", "--pid", String(daemon.pid), "--nofile=4096:");
      expect(isAlive(leader)).toBe(true);
      if (outcome === "done") break;
      failures++;
      expect(outcome).toMatch(/EMFILE|Too many open files/);
    }
    expect(failures).toBeGreaterThan(0);
    expect(daemon.log).not.toMatch(BUG);
    await waitFor(() => expect(readFileSync(fileOf(daemon, "next"), "utf8")).toContain(`LEADER=${leader}`), "its file");
  });

  test("with I/O errors on the state directory no running machine is lost, and files are written when it works again", async () => {
    const daemon = prepared();
    await daemon.run();
    const directory = join(daemon.runtime, "machines");
    await register(await daemon.bus(), "before", await daemon.leader());
    // A file system whose program is gone answers every request with an error.
    const mount = `mount -i -t fuse -o fd=5,rootmode=40000,user_id=0,group_id=0 gone ${directory}`;
    run("sh", "-c", `exec 5<>/dev/fuse && ${mount}`);
    const leader = await daemon.leader();
    try {
      await register(await daemon.bus(), "meanwhile", leader, { create: true });
      expect(await names(daemon)).toEqual([".host", "before", "meanwhile"]);
      await daemon.kill("SIGKILL");
      await daemon.run();
      expect(await names(daemon)).toEqual([".host"]);
      await register(await daemon.bus(), "again", leader);
    } finally {
      run("umount", "-l", directory);
    }
    await waitFor(() => expect(readFileSync(fileOf(daemon, "again"), "utf8")).toContain("NAME=again"), "the file");
    await daemon.kill("SIGKILL");
    await daemon.run();
    expect((await names(daemon)).sort()).toEqual([".host", "again", "before"]);
    expect(daemon.log).not.toMatch(BUG);
  });

  const pids = existsSync("/sys/fs/cgroup/pids/cgroup.procs") ? "/sys/fs/cgroup/pids" : null;
  const noPids = pids === null ? " (left out: needs the pids controller of cgroup v1)" : "";
  test.skipIf(pids === null)(
    `when no process can be started, copies fail with the errno, and other calls work${noPids}`,
    async () => {
      const daemon = prepared(FEW_THREADS);
      await daemon.run();
      await using machine = await TestMachine.start(["--mount"], null);
      const bus = await daemon.bus();
      await register(bus, "m", machine.pid);
      const copy = () => errorOf(manager(bus, "CopyToMachineWithFlags", "ssst", "m", "/etc/hostname", "/run/file", 1n));
      // When a worker has answered a call, all threads of the daemon have been started.
      expect(await copy().catch((error: Error) => error.message)).toBe("the call succeeded");
      const group = join(pids ?? "", `machined-test-${process.pid}`);
      mkdirSync(group);
      try {
        writeFileSync(join(group, "cgroup.procs"), String(daemon.pid));
        writeFileSync(join(group, "pids.max"), "1");
        expect(await copy()).toContain("EAGAIN");
        expect(await names(daemon)).toContain("m");
        writeFileSync(join(group, "pids.max"), "max");
        expect(await copy().catch((error: Error) => error.message)).toBe("the call succeeded");
        expect(daemon.log).not.toMatch(BUG);
      } finally {
        writeFileSync(join(pids ?? "", "cgroup.procs"), String(daemon.pid));
        await waitFor(() => rmdirSync(group), "the end of the group");
      }
    },
  );

  test("a state file that is too long is ignored", async () => {
    const daemon = prepared();
    mkdirSync(join(daemon.runtime, "machines"));
    for (const name of ["long", ".#starting-long"]) {
      writeFileSync(fileOf(daemon, name), "NAME=long\n");
      truncateSync(fileOf(daemon, name), 600 << 20);
    }
    await daemon.run();
    const [, most = "0"] = /^VmHWM:\s+(\d+) kB/m.exec(readFileSync(`/proc/${daemon.pid}/status`, "utf8")) ?? [];
    expect(Number(most)).toBeLessThan(400 << 10);
    expect(readdirSync(join(daemon.runtime, "machines"))).toEqual([]);
    expect(daemon.log).toContain("The state file of machine long is not valid, removing it.");
  });

  test("files that a killed daemon left incomplete are removed", async () => {
    const daemon = prepared();
    mkdirSync(join(daemon.runtime, "machines"));
    for (const name of [".#webabc", ".#.#starting-webabc", ".#starting-web"])
      writeFileSync(fileOf(daemon, name), "NAME=");
    await daemon.run();
    expect(readdirSync(join(daemon.runtime, "machines"))).toEqual([]);
  });

  test("an incomplete file that cannot be removed does not keep the daemon from reading the machines", async () => {
    const daemon = prepared();
    await daemon.run();
    for (const name of ["a", "b", "c"]) await register(await daemon.bus(), name, await daemon.leader());
    await daemon.kill("SIGKILL");
    for (const name of [".#webabc", ".#starting-web"]) {
      writeFileSync(fileOf(daemon, name), "NAME=");
      // A mount on it: EBUSY.
      expect(Bun.spawnSync(["mount", "--bind", fileOf(daemon, name), fileOf(daemon, name)]).exitCode).toBe(0);
    }
    try {
      await daemon.run();
      expect((await names(daemon)).sort()).toEqual([".host", "a", "b", "c"]);
    } finally {
      for (const name of [".#webabc", ".#starting-web"]) Bun.spawnSync(["umount", "-l", fileOf(daemon, name)]);
    }
  });

  describe.skipIf(!hasBusDaemon)(
    `with a service manager${hasBusDaemon ? "" : " (left out: needs dbus-daemon)"}`,
    () => {
      test.each([
        ["stands", null, true],
        ["is being started", "/org/freedesktop/systemd1/job/77", true],
        ["was not made", undefined, false],
      ] as const)("a daemon is killed while it makes a scope: the scope %s", async (_what, job, isKept) => {
        const bus = await TestBus.start();
        ends.push(bus);
        const systemd = await PlayedManager.start(bus);
        systemd.answer = () => "silence";
        const daemon = prepared({ DBUS_SYSTEM_BUS_ADDRESS: bus.address, MACHINED_SERVICE_MANAGER: "systemd" });
        await daemon.run();
        const leader = await daemon.leader();
        const lost = errorOf(register(await daemon.bus(), "web-1", leader, { create: true }));
        await waitFor(() => expect(systemd.scopes).toHaveLength(1), "the request for a scope");
        await daemon.kill("SIGKILL");
        expect(await lost).toContain("Disconnected");
        if (job !== undefined) systemd.units.set("machine-web\\x2d1.scope", job);
        await daemon.run();
        const wanted = isKept ? [".host", "web-1"] : [".host"];
        await waitFor(async () => expect(await names(daemon)).toEqual(wanted), "the machine");
        const files = isKept ? ["unit:machine-web\\x2d1.scope", "web-1"] : [];
        await waitFor(() => expect(readdirSync(join(daemon.runtime, "machines")).sort()).toEqual(files), "the files");
        if (isKept) expect(readFileSync(fileOf(daemon, "web-1"), "utf8")).toContain("SCOPE=");
      });
      test("a scope that a killed daemon could not record is logged by the next one", async () => {
        const bus = await TestBus.start();
        ends.push(bus);
        const systemd = await PlayedManager.start(bus);
        const daemon = prepared({ DBUS_SYSTEM_BUS_ADDRESS: bus.address, MACHINED_SERVICE_MANAGER: "systemd" });
        await daemon.run();
        systemd.answer = () => "silence";
        const directory = join(daemon.runtime, "machines");
        run("mount", "-t", "tmpfs", "-o", "size=4k", "full", directory);
        try {
          writeFileSync(join(directory, "filler"), "x".repeat(4096));
          const lost = errorOf(register(await daemon.bus(), "web-1", await daemon.leader(), { create: true }));
          await waitFor(() => expect(systemd.scopes).toHaveLength(1), "the request for a scope");
          await daemon.kill("SIGKILL");
          expect(await lost).toContain("Disconnected");
        } finally {
          run("umount", "-l", directory);
        }
        systemd.units.set("machine-web\\x2d1.scope", null);
        await daemon.run();
        const text = "machine-web\\x2d1.scope has the name of a machine's scope but belongs to no registered machine.";
        await waitFor(() => expect(daemon.log).toContain(text), "the line");
        expect(daemon.log).toContain(`'systemctl stop "machine-web\\x2d1.scope"' ends its processes.`);
        expect(await names(daemon)).toEqual([".host"]);
      });
    },
  );
});
