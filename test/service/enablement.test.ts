// Renaming and removing images keeps their enablement at boot up to date: the daemon on a bus, with a simulated service
// manager.
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { BusClient } from "../../src/ipc/bus/client.ts";
import { isRoot, manager, TestDaemon } from "../lib/daemon.ts";
import { hasBusDaemon, PlayedManager, TestBus } from "../lib/private-bus.ts";
import { waitFor } from "../lib/wait-for.ts";

const can = isRoot && hasBusDaemon;
const reason = can ? "" : " (left out: needs root and dbus-daemon)";

describe.skipIf(!can)(`images that are started at boot${reason}`, () => {
  let testBus: TestBus;
  let systemd: PlayedManager;
  let daemon: TestDaemon;
  let bus: BusClient;
  let root: string;

  const image = (name: string, place = "var/lib/machines") => {
    mkdirSync(join(root, place, name, "usr/lib"), { recursive: true });
  };

  beforeAll(async () => {
    root = mkdtempSync(join(tmpdir(), "machined-images-"));
    testBus = await TestBus.start();
    systemd = await PlayedManager.start(testBus);
    daemon = await TestDaemon.start({
      DBUS_SYSTEM_BUS_ADDRESS: testBus.address,
      MACHINED_SERVICE_MANAGER: "systemd",
      MACHINED_IMAGE_ROOT: root,
    });
    bus = await testBus.connect();
    await waitFor(() => manager(bus, "ListImages"), "the daemon on the bus");
  });
  beforeEach(() => {
    systemd.enabled.clear();
    systemd.reloads = 0;
  });
  afterAll(async () => {
    await daemon[Symbol.asyncDispose]();
    await testBus[Symbol.asyncDispose]();
    rmSync(root, { recursive: true });
  });

  test("rename enables the new name in place of the old one, for containers and virtual machines", async () => {
    image("old");
    systemd.enabled.add("systemd-nspawn@old.service").add("systemd-vmspawn@old.service");
    await manager(bus, "RenameImage", "ss", "old", "new");
    const enabled = ["machines.target", "systemd-nspawn@new.service", "systemd-vmspawn@new.service"];
    expect([...systemd.enabled].sort()).toEqual(enabled);
    expect(systemd.reloads).toBe(1);
  });

  test("renaming and removing an image that is not enabled enables nothing and does not reload units", async () => {
    image("plain");
    await manager(bus, "RenameImage", "ss", "plain", "simple");
    await manager(bus, "RemoveImage", "s", "simple");
    expect([[...systemd.enabled], systemd.reloads]).toEqual([[], 0]);
  });

  test("a removed image is disabled", async () => {
    image("gone");
    systemd.enabled.add("systemd-nspawn@gone.service");
    await manager(bus, "RemoveImage", "s", "gone");
    expect([[...systemd.enabled], systemd.reloads]).toEqual([[], 1]);
  });

  test("the unit stays enabled when another image of the same name is left", async () => {
    image("twin");
    image("twin", "usr/lib/machines");
    systemd.enabled.add("systemd-nspawn@twin.service");
    await manager(bus, "RemoveImage", "s", "twin");
    expect([...systemd.enabled]).toEqual(["systemd-nspawn@twin.service"]);
  });

  test("images that clean removes are disabled", async () => {
    image("swept");
    systemd.enabled.add("systemd-nspawn@swept.service");
    await manager(bus, "CleanPool", "s", "all");
    expect([...systemd.enabled]).toEqual([]);
  });

  test("an image is renamed also when the service manager refuses to change the enablement", async () => {
    image("stubborn");
    systemd.enabled.add("systemd-nspawn@stubborn.service");
    systemd.refuses = true;
    try {
      await manager(bus, "RenameImage", "ss", "stubborn", "soft");
      expect(await manager(bus, "GetImage", "s", "soft")).toHaveLength(1);
    } finally {
      systemd.refuses = false;
    }
  });
});
