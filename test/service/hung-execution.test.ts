// Processes that wait for ever while they execute a program, because the file system of one of their open files does
// not answer. New kernels make readers of their links in /proc wait, too. A machine's leader can do that to the daemon.
import { expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PidRef } from "../../src/kernel/process/pidref.ts";
import { openProcessLink, ProcessLinks, startTicksPatiently } from "../../src/kernel/process/process-link.ts";
import { isErrno } from "../../src/kernel/syscall/sys.ts";
import { errorOf, isRoot, manager, register, TestDaemon } from "../lib/daemon.ts";
import { HungProcess, mountHostile } from "../lib/hostile-file-system.ts";
import { withoutDescriptors } from "../lib/no-descriptors.ts";
import { havePrograms } from "../lib/programs.ts";
import { GUARD_MS, waitFor } from "../lib/wait-for.ts";

setDefaultTimeout(GUARD_MS);

const can = isRoot && havePrograms("processes that hang while they execute a program", "python3");
const reason = can ? "" : " (left out: needs root and python3)";

test.skipIf(!can)(`a leader and a caller that hang while they execute a program block nobody${reason}`, async () => {
  const here = mkdtempSync(join(tmpdir(), "hung-execution-"));
  await using daemon = await TestDaemon.start();
  const bus = await daemon.bus();
  await register(bus, "good", await daemon.leader("--net"));
  {
    using hostile = await mountHostile(join(here, "files"));
    using leader = await HungProcess.start(hostile.image);
    await register(bus, "hung", leader.pid);
    expect(await manager(bus, "GetMachineUIDShift", "s", "hung")).toEqual([0]);
    leader.hang();
    await waitFor(() => expect(hostile.waiting.has(leader.pid)).toBe(true), "the execution");
    // Where the kernel lets readers of links wait, none of these does; elsewhere they succeed.
    for (let i = 0; i < 100; i++) {
      const error = await errorOf(manager(bus, "GetMachineOSRelease", "s", "hung")).catch(() => null);
      if (error !== null) expect(error).toContain("Timeout");
      expect(await errorOf(manager(bus, "GetMachineAddresses", "s", "hung"))).toMatch(/NoPrivateNetworking|Timeout/);
      expect(await manager(bus, "GetMachineAddresses", "s", "good")).toEqual([[]]);
    }
    const varlink = await daemon.varlink();
    const all = varlink.callMore("io.systemd.Machine.List", { acquireMetadata: "graceful" });
    expect((await Array.fromAsync(all)).length).toBe(3);
    const unknown = 0x1234_5678;
    expect(await errorOf(manager(bus, "MapToMachineUser", "u", unknown))).toContain("NoSuchUserMapping");
    const reference = PidRef.of(leader.pid);
    const results = [
      () => {
        // One that nobody asks for, and one that is asked for beside another process's.
        new ProcessLinks([leader.pid], "root", "path")[Symbol.dispose]();
        using links = new ProcessLinks([leader.pid, process.pid], "root", "path");
        links.open(process.pid).close();
        links.open(leader.pid).close();
      },
      () => void openProcessLink(leader.pid, "root", "path").close(),
      () => void openProcessLink(leader.pid, "ns/net", "read").close(),
      () => startTicksPatiently(leader.pid, 100),
    ];
    for (const read of results) {
      try {
        await read();
      } catch (error) {
        expect(isErrno(error, "ETIMEDOUT")).toBe(true);
      }
    }
    expect(reference.isAlive()).toBe(true);
    reference[Symbol.dispose]();
    expect((await manager(bus, "ListMachines")).flat()).toHaveLength(3);
    hostile[Symbol.dispose]();
    // The machine answers again when its leader goes on.
    await waitFor(async () => expect(await manager(bus, "GetMachineUIDShift", "s", "hung")).toEqual([0]), "the leader");
  }
  rmSync(here, { recursive: true });
});

test.skipIf(!can)(`a reader of a link with the last free descriptor does not wait for ever${reason}`, async () => {
  const here = mkdtempSync(join(tmpdir(), "hung-execution-"));
  {
    using hostile = await mountHostile(join(here, "files"));
    using leader = await HungProcess.start(hostile.image);
    leader.hang();
    await waitFor(() => expect(hostile.waiting.has(leader.pid)).toBe(true), "the execution");
    try {
      withoutDescriptors(() => openProcessLink(leader.pid, "root", "path"), 1).close();
    } catch (error) {
      // Where the kernel lets readers of links wait.
      expect(isErrno(error, "ETIMEDOUT")).toBe(true);
    }
  }
  rmSync(here, { recursive: true });
});
