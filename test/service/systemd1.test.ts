// The daemon on a bus, with a simulated service manager: its calls, and what it does with each answer.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { BusClient } from "../../src/ipc/bus/client.ts";
import { errorOf, getProperty, isRoot, manager, register, TestDaemon } from "../lib/daemon.ts";
import { hasBusDaemon, PlayedManager, TestBus } from "../lib/private-bus.ts";
import { waitFor } from "../lib/wait-for.ts";

const can = isRoot && hasBusDaemon;
const reason = can ? "" : " (left out: needs root and dbus-daemon)";

describe.skipIf(!can)(`on a bus with a service manager${reason}`, () => {
  let testBus: TestBus;
  let systemd: PlayedManager;
  let daemon: TestDaemon;
  let bus: BusClient;

  const connect = async () => {
    bus = await testBus.connect();
    await waitFor(() => manager(bus, "ListMachines"), "the daemon on the bus");
  };

  beforeAll(async () => {
    testBus = await TestBus.start();
    systemd = await PlayedManager.start(testBus);
    daemon = await TestDaemon.start({
      DBUS_SYSTEM_BUS_ADDRESS: testBus.address,
      MACHINED_SERVICE_MANAGER: "systemd",
    });
    await connect();
  });
  afterAll(async () => {
    await daemon[Symbol.asyncDispose]();
    await testBus[Symbol.asyncDispose]();
  });

  const create = async (name: string) => register(bus, name, await daemon.leader(), { create: true });

  test("M42 M43 the scope has systemd's properties in the same order, without AddRef", async () => {
    await create("web-1.a");
    const [scope] = systemd.scopes.slice(-1);
    expect(scope?.unit).toBe("machine-web\\x2d1.a.scope");
    expect(scope?.mode).toBe("fail");
    expect([...(scope?.properties.keys() ?? [])]).toEqual([
      ...["Slice", "Description", "PIDFDs", "Delegate", "CollectMode", "TasksMax"],
    ]);
    expect(scope?.properties.get("Slice")?.value).toBe("machine.slice");
    expect(scope?.properties.get("Description")?.value).toBe("Container web-1.a");
    expect(scope?.properties.get("TasksMax")?.value).toBe(16384n);
  });

  test("M46 M49 the reply waits for the start job, and the machine is opening until then", async () => {
    const states: unknown[] = [];
    const stop = await bus.subscribe({ member: "MachineNew" }, async ([, path]) => {
      states.push(await getProperty(bus, path as string, "org.freedesktop.machine1.Machine", "State"));
    });
    systemd.answer = () => ({ result: "done", isHeld: true });
    const creating = create("opening");
    await waitFor(() => expect(states).toEqual(["opening"]), "the state");
    expect(Bun.peek.status(creating)).toBe("pending");
    systemd.answer = () => ({ result: "done" });
    systemd.finishHeld();
    const [path] = (await creating) as [string];
    expect(await getProperty(bus, path, "org.freedesktop.machine1.Machine", "State")).toBe("running");
    await stop();
  });

  test("a job that ends before its reply arrives counts as ended", async () => {
    systemd.answer = () => ({ result: "done", signalFirst: true });
    await create("overtaken");
    systemd.answer = () => ({ result: "done" });
  });

  test("M48 the error for a failed start job is JobFailed, and no machine stays", async () => {
    systemd.answer = () => ({ result: "failed" });
    expect(await errorOf(create("failed"))).toBe(
      "org.freedesktop.systemd1.JobFailed: Start job for unit machine-failed.scope failed with 'failed'",
    );
    systemd.answer = () => ({ result: "done" });
    expect(JSON.stringify(await manager(bus, "ListMachines"))).not.toContain('"failed"');
    await waitFor(() => expect(systemd.stopped).toContain("machine-failed.scope"), "the scope's end");
  });

  test("M39 M40 an error of the manager is returned unchanged, and no machine stays", async () => {
    systemd.answer = () => ({ error: ["org.freedesktop.systemd1.UnitExists", "Unit x was already loaded."] });
    expect(await errorOf(create("exists"))).toBe("org.freedesktop.systemd1.UnitExists: Unit x was already loaded.");
    systemd.answer = () => ({ result: "done" });
    await create("exists");
  });

  test("a manager that does not know PIDFDs gets PIDs, in all later calls as well", async () => {
    const refusal = "Cannot set property PIDFDs, or unknown property.";
    systemd.answer = ({ properties }) =>
      properties.has("PIDFDs")
        ? { error: ["org.freedesktop.DBus.Error.PropertyReadOnly", refusal] }
        : { result: "done" };
    const before = systemd.scopes.length;
    // Calls that are pending when this is noticed are repeated, too.
    await Promise.all(["old-1", "old-2", "old-3"].map(create));
    await create("old-4");
    const kinds = systemd.scopes.slice(before).map(({ properties }) => (properties.has("PIDFDs") ? "fd" : "pid"));
    expect([kinds[0], kinds.at(-1)]).toEqual(["fd", "pid"]);
    expect(kinds.filter((kind) => kind === "pid")).toHaveLength(4);
    systemd.answer = () => ({ result: "done" });
  });

  test("signals of the manager are accepted only from the owner of its name", async () => {
    const forger = await testBus.connect();
    systemd.answer = () => ({ result: "done" });
    const creating = create("forged");
    for (let job = 1; job < 200; job++) {
      forger.send({
        type: 4,
        path: "/org/freedesktop/systemd1",
        interface: "org.freedesktop.systemd1.Manager",
        member: "JobRemoved",
        destination: await ownerOf(bus, "org.freedesktop.machine1"),
        signature: "uoss",
        body: [1, `/org/freedesktop/systemd1/job/${job}`, "machine-forged.scope", "failed"],
      });
    }
    await creating;
    forger.close();
  });

  test("a machine that ends while the host shuts down has that as its ending, until the shutdown is cancelled", async () => {
    systemd.answer = () => ({ result: "done" });
    const end = async (name: string) => {
      const leader = await daemon.leader();
      await register(bus, name, leader, { create: true });
      process.kill(leader, "SIGKILL");
      await waitFor(() => errorOf(manager(bus, "GetMachine", "s", name)), "the end");
    };
    const shutdown = (member: "JobNew" | "JobRemoved", unit: string, ...result: string[]) => {
      const job = [7, "/org/freedesktop/systemd1/job/7", unit, ...result];
      const where = { path: "/org/freedesktop/systemd1", interface: "org.freedesktop.systemd1.Manager", member };
      systemd.bus.send({ type: 4, ...where, signature: result.length > 0 ? "uoss" : "uos", body: job });
    };
    shutdown("JobNew", "other.target");
    await end("before");
    shutdown("JobNew", "shutdown.target");
    await end("meanwhile");
    shutdown("JobRemoved", "shutdown.target", "canceled");
    await end("afterwards");
    const varlink = await daemon.varlink();
    const ends: unknown[] = [];
    for await (const reply of varlink.callMore("io.machined.Events.Subscribe", { sinceUSec: 0, follow: false })) {
      const { event, machine, how, signal } = reply as { event: string; machine: string; how: string; signal: number };
      if (event === "ended" && ["before", "meanwhile", "afterwards"].includes(machine))
        ends.push([machine, how, signal]);
    }
    expect(ends).toEqual([
      ["before", "killed", 9],
      ["meanwhile", "host_shutdown", 9],
      ["afterwards", "killed", 9],
    ]);
  });

  /** The manager re-executes itself: its name disappears, and comes back with the units that it had made. */
  const reexecute = async (units: readonly string[]) => {
    systemd.bus.close();
    systemd = await PlayedManager.start(testBus);
    for (const unit of units) systemd.units.set(unit, null);
  };

  test("when the manager restarts before it answers, the call is repeated", async () => {
    systemd.answer = () => "silence";
    const before = systemd.scopes.length;
    const creating = create("unanswered");
    await waitFor(() => expect(systemd.scopes.length).toBe(before + 1), "the request");
    await reexecute([]);
    await creating;
    expect(systemd.scopes.map(({ unit }) => unit)).toEqual(["machine-unanswered.scope"]);
  });

  test("a scope that the manager made before its restart is not requested again", async () => {
    systemd.answer = () => "silence";
    const before = systemd.scopes.length;
    const creating = create("made");
    await waitFor(() => expect(systemd.scopes.length).toBe(before + 1), "the request");
    await reexecute(["machine-made.scope"]);
    await creating;
    expect(systemd.scopes).toEqual([]);
  });

  test.each([
    ["done", ["machine-unheard.scope"]],
    ["failed", []],
  ] as const)("a start job whose end was not signalled is %s", async (result, units) => {
    systemd.answer = () => ({ result: "done", isHeld: true });
    const before = systemd.scopes.length;
    const creating = create("unheard").then(
      () => "done",
      (error: Error) => (error.message.includes("failed with 'failed'") ? "failed" : error.message),
    );
    await waitFor(() => expect(systemd.scopes.length).toBe(before + 1), "the request");
    await waitFor(async () => expect(JSON.stringify(await manager(bus, "ListMachines"))).toContain("unheard"), "it");
    await reexecute(units);
    expect(await creating).toBe(result);
    if (result === "done") await manager(bus, "UnregisterMachine", "s", "unheard");
  });

  test("a stop that was not answered before a restart is requested again", async () => {
    await create("stopped-twice");
    systemd.isSilent = true;
    const terminating = manager(bus, "TerminateMachine", "s", "stopped-twice");
    await waitFor(() => expect(systemd.stopped).toContain("machine-stopped\\x2dtwice.scope"), "the request");
    await reexecute(["machine-stopped\\x2dtwice.scope"]);
    await terminating;
    expect(systemd.stopped).toEqual(["machine-stopped\\x2dtwice.scope"]);
    expect(systemd.stopModes).toEqual(["replace"]);
  });

  test("the stop of a machine that has ended is not requested again once another one has its scope", async () => {
    const attempts = (name: string) => systemd.stopped.filter((unit) => unit === `machine-${name}.scope`).length;
    const end = async (name: string, leader: number) => {
      process.kill(leader, "SIGKILL");
      await waitFor(() => expect(attempts(name)).toBeGreaterThan(1), "the attempts to stop it");
    };
    const leader = await daemon.leader();
    await register(bus, "replaced", leader, { create: true });
    const other = await daemon.leader();
    await register(bus, "unreplaced", other, { create: true });
    systemd.leavesOnStop = true;
    await end("replaced", leader);
    await create("replaced");
    const before = attempts("replaced");
    // Attempts to stop both scopes have the same interval.
    await end("unreplaced", other);
    expect(attempts("replaced")).toBe(before);
    systemd.leavesOnStop = false;
  });

  test("a machine whose scope is being started is terminated after the start", async () => {
    systemd.answer = () => ({ result: "done", isHeld: true });
    const varlink = await daemon.varlink();
    const leader = await daemon.leader();
    const registration = { name: "hasty", class: "container", leader, allocateUnit: true };
    await varlink.call("io.systemd.Machine.Register", registration);
    const terminating = manager(bus, "TerminateMachine", "s", "hasty");
    await manager(bus, "ListMachines");
    await manager(bus, "ListMachines");
    expect(systemd.stopped).not.toContain("machine-hasty.scope");
    systemd.finishHeld();
    await terminating;
    expect(systemd.stopped).toContain("machine-hasty.scope");
    systemd.answer = () => ({ result: "done" });
  });

  test("the daemon reconnects to a restarted bus, and keeps its machines", async () => {
    await testBus.stop();
    await waitFor(async () => {
      const privateBus = await daemon.bus();
      expect(JSON.stringify(await manager(privateBus, "ListMachines"))).toContain("web-1.a");
    }, "the private socket");
    await testBus.run();
    systemd = await PlayedManager.start(testBus);
    await connect();
    expect(JSON.stringify(await manager(bus, "ListMachines"))).toContain("web-1.a");
    await create("afterwards");
  });
});

async function ownerOf(bus: BusClient, name: string): Promise<string> {
  const [owner] = (await bus.driver("GetNameOwner", "s", [name])) as [string];
  return owner;
}
