// Calls with descriptors to a daemon that may open no more: such a call fails, and the connection stays.
import { describe, expect, test } from "bun:test";
import { openSync, readdirSync } from "node:fs";
import type { BusClient } from "../../src/ipc/bus/client.ts";
import { Fd } from "../../src/kernel/file/fd.ts";
import { errorOf, isRoot } from "../lib/daemon.ts";
import { hasBusDaemon, TestBus } from "../lib/private-bus.ts";
import { havePrograms } from "../lib/programs.ts";
import { waitFor } from "../lib/wait-for.ts";
import { manager, TestImportd } from "./import-support.ts";

const can = isRoot && hasBusDaemon && havePrograms("calls to a daemon without free descriptors", "prlimit");
const reason = can ? "" : " (left out: needs root, dbus-daemon and prlimit)";
const NAME = "org.freedesktop.import1";

function limitDescriptors(pid: number, soft: number): void {
  expect(Bun.spawnSync(["prlimit", "--pid", String(pid), `--nofile=${soft}:`]).exitCode).toBe(0);
}

/** Sets the limit of a process to the lowest number that is free: it can open nothing. */
function takeAllDescriptors(pid: number): void {
  const taken = new Set(readdirSync(`/proc/${pid}/fd`).map(Number));
  let free = 0;
  while (taken.has(free)) free++;
  limitDescriptors(pid, free);
}

describe.skipIf(!can)(`a daemon that may open no more descriptors${reason}`, () => {
  const importTo = (bus: BusClient, file: Fd) => errorOf(manager(bus, "ImportTar", "hsbb", file, "x", false, false));

  async function expectOnlyCallsFail(daemon: TestImportd, bus: BusClient): Promise<void> {
    using device = Fd.adopt(openSync("/dev/null", "r"));
    const lost = "System.Error.EMFILE: Too many open files";
    // The modules of both answers are loaded while files can be opened: run from its sources, the daemon reads them.
    expect(await importTo(bus, device)).toBe("InvalidArgs: Invalid argument");
    expect(await errorOf(manager(bus, "ListTransfers", "h", device))).toContain("Invalid arguments 'h'");
    // Taken again before each call: the daemon's engine closes descriptors of its own.
    const isLost = async () => {
      takeAllDescriptors(daemon.pid);
      expect(await importTo(bus, device)).toBe(lost);
    };
    for (let i = 0; i < 4; i++) {
      await daemon.whileRunning(waitFor(isLost, "no free descriptor"));
      // A method that takes no descriptor does not miss it.
      expect(await errorOf(manager(bus, "ListTransfers", "h", device))).toContain("Invalid arguments 'h'");
      expect(await manager(bus, "ListTransfers")).toEqual([[]]);
    }
    limitDescriptors(daemon.pid, 1024);
    expect(await importTo(bus, device)).toBe("InvalidArgs: Invalid argument");
  }

  test("on the private socket, the caller's connection stays", async () => {
    await using daemon = await TestImportd.start();
    await expectOnlyCallsFail(daemon, await daemon.bus());
  });

  test("on a bus, the daemon keeps its connection and its name", async () => {
    await using testBus = await TestBus.start();
    await using daemon = await TestImportd.start({ DBUS_SYSTEM_BUS_ADDRESS: testBus.address });
    const bus = daemon.keep(await testBus.connect());
    await waitFor(() => manager(bus, "ListTransfers"), "the daemon on the bus");
    const before = await bus.driver("GetNameOwner", "s", [NAME]);
    await expectOnlyCallsFail(daemon, bus);
    expect(await bus.driver("GetNameOwner", "s", [NAME])).toEqual(before);
  });
});
