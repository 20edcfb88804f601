// The daemon on a bus: its name, its objects, who may do what, and when it ends.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmodSync, constants, existsSync, mkdirSync, openSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Variant } from "../../src/base/variant.ts";
import type { BusClient } from "../../src/ipc/bus/client.ts";
import { Fd } from "../../src/kernel/file/fd.ts";
import { O_PATH } from "../../src/kernel/syscall/constants.ts";
import { errorOf, isRoot, needsRoot } from "../lib/daemon.ts";
import { hasBusDaemon, PlayedManager, TestBus } from "../lib/private-bus.ts";
import { havePrograms } from "../lib/programs.ts";
import { waitFor } from "../lib/wait-for.ts";
import { Announcements, manager, object, pull, TestImportd, TRANSFER } from "./import-support.ts";

const can = isRoot && hasBusDaemon && havePrograms("importd on a bus", "busctl", "setpriv");
const reason = can ? "" : " (left out: needs root, dbus-daemon, busctl and setpriv)";
const NAME = "org.freedesktop.import1";
const ROOT = "/org/freedesktop/import1";

/** Simulates polkit: records the actions, permits `allowed`. */
class PlayedPolkit {
  readonly asked: { action: string; details: [string, string][]; interactive: boolean }[] = [];
  allowed: string[] = [];

  static async start(on: TestBus): Promise<PlayedPolkit> {
    const polkit = new PlayedPolkit();
    const bus = await on.connect();
    bus.onCall((message) => {
      const [, action, details, flags] = message.values() as [unknown, string, Map<string, string>, number];
      polkit.asked.push({ action, details: [...details], interactive: flags === 1 });
      const answer = [polkit.allowed.includes(action), true, new Map()];
      bus.send({
        type: 2,
        replySerial: message.serial,
        destination: message.sender,
        signature: "(bba{ss})",
        body: [answer],
      });
    });
    await bus.driver("RequestName", "su", ["org.freedesktop.PolicyKit1", 0]);
    return polkit;
  }
}

/** A call by the user nobody: path, interface, member and arguments. Returns busctl's output. */
async function callAsNobody(on: TestBus, ...call: string[]): Promise<string> {
  const busctl = ["busctl", `--address=${on.address}`, "call", NAME, ...call];
  const child = Bun.spawn(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", ...busctl], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  return (await child.stdout.text()).trim() + (await child.stderr.text()).trim();
}

describe.skipIf(!can)(`on a bus${reason}`, () => {
  let testBus: TestBus;
  let systemd: PlayedManager;
  let polkit: PlayedPolkit;
  let daemon: TestImportd;
  let bus: BusClient;
  let heard: Announcements;

  beforeAll(async () => {
    testBus = await TestBus.start();
    chmodSync(testBus.directory, 0o755);
    systemd = await PlayedManager.start(testBus);
    systemd.version = "262.1-1";
    polkit = await PlayedPolkit.start(testBus);
    daemon = await TestImportd.start({ DBUS_SYSTEM_BUS_ADDRESS: testBus.address });
    bus = await testBus.connect();
    await waitFor(() => manager(bus, "ListTransfers"), "the daemon on the bus");
    heard = await Announcements.of(bus);
  });
  afterAll(async () => {
    await daemon[Symbol.asyncDispose]();
    await testBus[Symbol.asyncDispose]();
  });

  const asNobody = (...call: string[]) => callAsNobody(testBus, ...call);
  const asNobodyOfManager = (member: string, ...args: string[]) => asNobody(ROOT, `${NAME}.Manager`, member, ...args);

  test("I1 the daemon owns the bus name, and its objects have systemd's paths", async () => {
    const introspected = async (path: string) => {
      const [xml] = await object(bus, path, "org.freedesktop.DBus.Introspectable", "Introspect");
      return xml as string;
    };
    expect(await introspected("/")).toContain('<node name="org"/>');
    expect(await introspected("/org/freedesktop")).toContain('<node name="LogControl1"/>\n <node name="import1"/>');
    expect(await introspected(ROOT)).toContain('<node name="transfer"/>');
    const id = await pull(bus, "wait");
    expect(await introspected(`${ROOT}/transfer`)).toContain(`<node name="_${id}"/>`);
    expect(await introspected(`${ROOT}/transfer/_${id}`)).toContain(`<interface name="${TRANSFER}">`);
    await manager(bus, "CancelTransfer", "u", id);
    expect(await heard.result(id)).toBe("canceled");
  });

  test("I4 LogControl1 exists; only root can set its properties", async () => {
    const get = (name: string) =>
      object(bus, "/org/freedesktop/LogControl1", "org.freedesktop.DBus.Properties", "Get", "ss", LOG, name);
    const LOG = "org.freedesktop.LogControl1";
    const [identifier] = (await get("SyslogIdentifier")) as [{ value: string }];
    expect(identifier.value).toBe("systemd-importd");
    const set = ["ssv", LOG, "LogLevel", "s", "debug"];
    const setLevel = (level: string) =>
      object(
        bus,
        "/org/freedesktop/LogControl1",
        "org.freedesktop.DBus.Properties",
        "Set",
        "ssv",
        LOG,
        "LogLevel",
        new Variant("s", level),
      );
    // By name or number, as systemctl service-log-level passes it on.
    for (const [level, name] of [
      ["7", "debug"],
      ["info", "info"],
    ] as const) {
      await setLevel(level);
      expect(((await get("LogLevel")) as [{ value: string }])[0].value).toBe(name);
    }
    expect(await errorOf(setLevel("8"))).toContain("Invalid log level '8'");
    expect(await asNobody("/org/freedesktop/LogControl1", "org.freedesktop.DBus.Properties", "Set", ...set)).toContain(
      "Access",
    );
  });

  test.each([
    ["256.1", "accepted"],
    ["257.13", "refused"],
  ])(
    "I26 on a host of systemd %s, descriptors that append or do not wait are %s, as by its own daemon",
    async (version, verdict) => {
      await using old = await TestBus.start();
      (await PlayedManager.start(old)).version = version;
      await using importd = await TestImportd.start({ DBUS_SYSTEM_BUS_ADDRESS: old.address });
      const client = await old.connect();
      await waitFor(() => manager(client, "ListTransfers"), "the daemon on the bus");
      const results = await Announcements.of(client);
      const path = `${importd.runtime}/log`;
      for (const flags of [
        constants.O_WRONLY | constants.O_CREAT | constants.O_APPEND,
        constants.O_RDWR | constants.O_NONBLOCK,
      ]) {
        using file = Fd.adopt(openSync(path, flags));
        const call = manager(client, "ExportTar", "shs", "target", file, "");
        if (verdict === "refused") expect(await errorOf(call)).toStartWith("System.Error.EREMOTEIO");
        else expect(await results.result(((await call) as [number])[0])).toBe("done");
      }
      using named = Fd.adopt(openSync(path, O_PATH));
      expect(await errorOf(manager(client, "ExportTar", "shs", "target", named, ""))).toStartWith(
        "System.Error.EREMOTEIO",
      );
      client.close();
    },
  );

  test("I27 users other than root need polkit's permission: import, export, pull", async () => {
    polkit.asked.length = 0;
    const args = ["sssb", "http://played/done", "x", "no", "false"];
    const answer = await asNobodyOfManager("PullTar", ...args);
    expect(answer).toContain("requires interactive authentication");
    expect(polkit.asked).toEqual([{ action: `${NAME}.pull`, details: [], interactive: true }]);
    polkit.allowed = [`${NAME}.pull`];
    expect(await asNobodyOfManager("PullTar", ...args)).toMatch(/^uo \d+ /);
    polkit.allowed = [];
    polkit.asked.length = 0;
    // A caller that may not pull is not told what else is wrong with the call.
    expect(await asNobodyOfManager("PullTar", "sssb", "bad", "x", "no", "false")).toContain("interactive");
  });

  test("I28 I29 lists need no permission", async () => {
    polkit.asked.length = 0;
    expect(await asNobodyOfManager("ListTransfers")).toBe("a(usssdo) 0");
    expect(await asNobodyOfManager("ListTransfersEx", "st", "", "0")).toBe("a(ussssdo) 0");
    mkdirSync(join(daemon.images, "var/lib/machines/tree"));
    mkdirSync(join(daemon.images, "var/lib/extensions"), { recursive: true });
    writeFileSync(join(daemon.images, "var/lib/extensions/ext.raw"), "x".repeat(4096));
    expect(await asNobodyOfManager("ListImages", "st", "sysext", "0")).toStartWith(
      `a(ssssbtttttt) 1 "sysext" "ext" "raw" "${daemon.images}/var/lib/extensions/ext.raw" false `,
    );
    expect(await asNobodyOfManager("ListImages", "st", "", "0")).toContain('"machine" "tree" "directory"');
    expect(polkit.asked).toEqual([]);
  });

  test("I30 cancelling needs the permission 'cancel'; through the transfer's object, 'pull' is enough", async () => {
    const id = await pull(bus, "wait-to-cancel");
    polkit.asked.length = 0;
    expect(await asNobodyOfManager("CancelTransfer", "u", String(id))).toContain("interactive");
    expect(polkit.asked.map(({ action }) => action)).toEqual([`${NAME}.cancel`]);
    polkit.asked.length = 0;
    expect(await asNobody(`${ROOT}/transfer/_${id}`, TRANSFER, "Cancel")).toContain("interactive");
    expect(polkit.asked.map(({ action, interactive }) => [action, interactive])).toEqual([
      [`${NAME}.pull`, false],
      [`${NAME}.cancel`, true],
    ]);
    polkit.allowed = [`${NAME}.pull`];
    expect(await asNobodyOfManager("CancelTransfer", "u", String(id))).toContain("interactive");
    expect(await asNobody(`${ROOT}/transfer/_${id}`, TRANSFER, "Cancel")).toBe("");
    polkit.allowed = [];
    expect(await heard.result(id)).toBe("canceled");
  });

  test("PullTar keeps the download in the cache on hosts with releases of systemd that do so", async () => {
    const keeps = async (version: string) => {
      systemd.version = version;
      await using other = await TestImportd.start({ DBUS_SYSTEM_BUS_ADDRESS: testBus.address });
      const client = await other.bus();
      const events = await Announcements.of(client);
      const id = await pull(client, "call", "name");
      await events.result(id);
      return events.lines(id).find(([, line]) => line.startsWith("--keep-download"))?.[1];
    };
    await daemon.kill();
    expect(await keeps("252.39-1~deb12u2")).toBe("--keep-download=yes");
    expect(await keeps("262-1")).toBe("--keep-download=no");
    await daemon.run();
    await waitFor(() => manager(bus, "ListTransfers"), "the daemon");
  });

  test("a second daemon notices the first one, and exits", async () => {
    const env = { DBUS_SYSTEM_BUS_ADDRESS: testBus.address, MACHINED_RUNTIME_DIRECTORY: daemon.runtime };
    const main = join(import.meta.dir, "../../src/main.ts");
    const other = Bun.spawn([process.execPath, main, "systemd-importd"], { env, stderr: "pipe" });
    expect(await other.stderr.text()).toContain("Another daemon runs already");
    expect(await other.exited).toBe(69);
    // The first daemon still has its sockets.
    expect(await manager(await daemon.bus(), "ListTransfers")).toEqual([[]]);
  });
});

describe.skipIf(!isRoot)(`an idle daemon${needsRoot}`, () => {
  test("I32 exits some time after the last transfer and the last connection have ended, and not before", async () => {
    await using daemon = await TestImportd.start({ MACHINED_IDLE_MS: "50", SYSTEMD_LOG_LEVEL: "debug" });
    const first = await daemon.bus();
    const id = await pull(first, "wait");
    first.close();
    await daemon.logged("Not exiting: 1 transfers, 0 connections.");
    const bus = await daemon.bus();
    const heard = await Announcements.of(bus);
    await manager(bus, "CancelTransfer", "u", id);
    expect(await heard.result(id)).toBe("canceled");
    await daemon.logged("Not exiting: 0 transfers, 1 connections.");
    expect(await manager(bus, "ListTransfers")).toEqual([[]]);
    bus.close();
    expect(await daemon.exited).toBe(0);
    expect(existsSync(join(daemon.runtime, "import/private"))).toBe(false);
    expect(readdirSync(join(daemon.runtime, "import"))).toEqual([]);
  });

  test("I40 I39 readiness and the watchdog are reported to the service manager", async () => {
    const told: string[] = [];
    const { NotifyListener } = await import("../../src/kernel/socket/notify-listener.ts");
    const address = { abstract: `importd-test-${process.pid}` };
    using listener = new NotifyListener(address, ({ values }) => void told.push(...values.keys()));
    await using daemon = await TestImportd.start({ NOTIFY_SOCKET: listener.address, WATCHDOG_USEC: "100000" });
    await waitFor(() => expect(told).toContain("READY"), "READY=1");
    const client = await daemon.bus();
    await pull(client, "wait");
    told.length = 0;
    await waitFor(() => expect(told.filter((key) => key === "WATCHDOG").length).toBeGreaterThan(2), "the watchdog");
    await daemon.kill();
    // It was sent before the daemon's end, but need not have been read yet.
    await waitFor(() => expect(told).toContain("STOPPING"), "STOPPING=1");
  });

  test("I31 a user's own daemon asks no polkit about pulls, imports and cancelling", async () => {
    await using userBus = await TestBus.start();
    chmodSync(userBus.directory, 0o755);
    const polkit = await PlayedPolkit.start(userBus);
    const address = { DBUS_SYSTEM_BUS_ADDRESS: userBus.address, DBUS_SESSION_BUS_ADDRESS: userBus.address };
    await using daemon = await TestImportd.start({ ...address, HOME: userBus.directory }, ["--user"]);
    expect(await manager(await daemon.bus(), "ListImages", "st", "", 0n)).toEqual([[]]);
    const bus = daemon.keep(await userBus.connect());
    await waitFor(() => manager(bus, "ListTransfers"), "the daemon on the bus");
    const call = (...args: string[]) => callAsNobody(userBus, ROOT, `${NAME}.Manager`, ...args);
    expect(await call("PullTar", "sssb", "http://played/wait", "x", "no", "false")).toMatch(/^uo 1 /);
    expect(await call("CancelTransfer", "u", "1")).toBe("");
    expect(polkit.asked).toEqual([]);
  });

  test("without a bus, unknown methods are errors, and root may pull without polkit", async () => {
    await using daemon = await TestImportd.start();
    const bus = await daemon.bus();
    expect(await errorOf(manager(bus, "NoSuch"))).toStartWith("UnknownMethod");
    expect(await pull(bus, "done")).toBe(1);
  });
});
