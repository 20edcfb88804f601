// systemd-machined --user: the machines and images of one user, and none of the host.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, lstatSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { BusClient } from "../../src/ipc/bus/client.ts";
import { errorOf, getProperty, isRoot, manager, needsRoot, register, TestDaemon } from "../lib/daemon.ts";

describe.skipIf(!isRoot)(`a user's daemon${needsRoot}`, () => {
  let daemon: TestDaemon;
  let bus: BusClient;
  let home: string;

  beforeAll(async () => {
    home = mkdtempSync(join(tmpdir(), "machined-home-"));
    daemon = await TestDaemon.start({ HOME: home, XDG_STATE_HOME: join(home, "state") }, ["--user"]);
    bus = await daemon.bus();
  });
  afterAll(async () => {
    await daemon[Symbol.asyncDispose]();
    rmSync(home, { recursive: true });
  });

  test("M25 it has no .host, as machine or as image", async () => {
    expect(await manager(bus, "ListMachines")).toEqual([[]]);
    expect(await manager(bus, "ListImages")).toEqual([[]]);
    expect(await errorOf(manager(bus, "GetMachine", "s", ".host"))).toContain("NoSuchMachine");
    expect(await errorOf(manager(bus, "GetImage", "s", ".host"))).toContain("NoSuchImage");
  });

  test("it has neither the socket of the user database nor that of the resolver's hook, and its sockets belong to the user", () => {
    expect(existsSync(join(daemon.runtime, "userdb"))).toBe(false);
    expect(existsSync(join(daemon.runtime, "resolve.hook"))).toBe(false);
    const socket = join(daemon.runtime, "machine/io.systemd.Machine");
    expect(lstatSync(socket).mode & 0o777).toBe(0o600);
  });

  test("its pool is in the user's state directory", async () => {
    const path = await getProperty(bus, "/org/freedesktop/machine1", "org.freedesktop.machine1.Manager", "PoolPath");
    expect(path).toEndWith("/state/machines");
  });

  test("machines of its user can be registered, and end", async () => {
    const leader = await daemon.leader();
    await register(bus, "mine", leader, { create: true });
    expect(existsSync(join(daemon.runtime, "machines/mine"))).toBe(true);
    await manager(bus, "KillMachine", "ssi", "mine", "leader", 9);
  });
});
