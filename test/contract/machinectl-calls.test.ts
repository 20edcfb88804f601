// The calls of machinectl to the managers: members and signatures are those in the debug output of systemd's
// machinectl.
import { describe, expect, test } from "bun:test";
import { runMachinectl } from "../../src/cli/program/machinectl.ts";
import { ALPHA, MINI } from "../unit/cli/fake-machines.ts";
import { FakeBusError, FakeManagers } from "../unit/cli/fake-managers.ts";
import { FakeProcess, type Surroundings, WORLDS, type World } from "../unit/cli/fake-world.ts";

const WORLD = WORLDS["two"] as World;
const BUS_ONLY = ["system"];
const PRIVATE = "/run/systemd/machine/private";
const VARLINK = "/run/systemd/machine/io.systemd.Machine";

async function run(line: string, around: Surroundings = {}, world: World = WORLD) {
  const process = new FakeProcess(world, { sockets: BUS_ONLY, ...around });
  const status = await runMachinectl(line.split(" "), process);
  return { status, process, members: process.managers.members, calls: process.managers.calls };
}

describe("calls of a verb", () => {
  const cases: [statements: string, line: string, members: string[]][] = [
    ["C49", "show", ["GetAll(s)"]],
    [
      "C7",
      "list --max-addresses=0 --no-legend",
      ["ListMachines()", "GetMachineOSRelease(s)", "GetMachineOSRelease(s)"],
    ],
    ["C69", "start alpha", ["GetImage(s)", "StartUnit(ss)"]],
    ["C72 C73", "enable mini", ["GetImage(s)", "EnableUnitFiles(asbb)", "Reload()"]],
    ["C73", "disable mini", ["GetImage(s)", "DisableUnitFiles(asb)", "Reload()"]],
    ["C77", "enable alpha nosuch", ["GetImage(s)", "GetImage(s)"]],
    ["C67", "start a_b", []],
    ["C67", "enable alpha -x", ["GetImage(s)"]],
    ["C78", "poweroff mini", ["KillMachine(ssi)"]],
    ["C78", "terminate mini", ["TerminateMachine(s)"]],
  ];
  for (const [statements, line, members] of cases) {
    test(`${statements} ${line}`.trim(), async () => {
      const args = line.replace(" -x", " -- -x");
      expect((await run(args)).members).toEqual(members);
    });
  }

  test("show asks for a machine's object and for its properties at the same time, in either order", async () => {
    expect((await run("show mini")).members.sort()).toEqual(["GetAll(s)", "GetMachine(s)"]);
  });

  test("status asks for a machine's object and its properties first, and makes all other calls for that object", async () => {
    const { members } = await run("status alpha");
    expect(members.slice(0, 2).sort()).toEqual(["GetAll(s)", "GetMachine(s)"]);
    expect(members.slice(2).sort()).toEqual([
      "Get(ss)",
      "GetMachineAddresses(s)",
      "GetMachineOSRelease(s)",
      "GetMachineUIDShift(s)",
      "GetUnitProcesses(s)",
    ]);
  });
});

describe("arguments of a call", () => {
  const cases: [statements: string, line: string, body: unknown[]][] = [
    ["C78 C79", "stop alpha", ["alpha", "leader", 38]],
    ["C78 C79", "restart alpha", ["alpha", "leader", 2]],
    ["C80", "kill alpha", ["alpha", "all", 15]],
    ["C80 C82", "kill alpha -s RTMIN+3 --kill-whom supervisor", ["alpha", "supervisor", 37]],
    [
      "C72",
      "enable alpha mini",
      [["machines.target", "systemd-nspawn@alpha.service", "systemd-nspawn@mini.service"], false, false],
    ],
    ["", "disable -V alpha", [["systemd-vmspawn@alpha.service"], false]],
    ["", "start mini", ["systemd-nspawn@mini.service", "fail"]],
    ["", "start web-1.a", ["systemd-nspawn@web-1.a.service", "fail"]],
  ];
  for (const [statements, line, body] of cases) {
    test(`${statements} ${line}`.trim(), async () => {
      const { calls } = await run(line);
      const change = calls.find(({ member }) => !member.startsWith("Get") && member !== "Reload");
      expect(change?.body).toEqual(body);
    });
  }

  test("C117 calls allow questions for a password unless --no-ask-password is given", async () => {
    const allowed = (await run("kill alpha")).calls.map(({ interactive }) => interactive);
    const forbidden = (await run("kill alpha --no-ask-password")).calls.map(({ interactive }) => interactive);
    expect([allowed, forbidden]).toEqual([[true], [false]]);
  });
});

describe("--now (C76)", () => {
  test("starts after enabling", async () => {
    expect((await run("enable --now mini")).members).toEqual([
      "GetImage(s)",
      "EnableUnitFiles(asbb)",
      "Reload()",
      "GetImage(s)",
      "StartUnit(ss)",
    ]);
  });

  test("powers off after disabling", async () => {
    const { members, status } = await run("disable --now mini");
    expect([members.at(-1), status]).toEqual(["KillMachine(ssi)", 0]);
  });

  test("disables a unit whose image no longer exists", async () => {
    const managers = new FakeManagers(WORLD);
    managers.enabled.add("systemd-nspawn@gone.service");
    const process = new FakeProcess(WORLD, { sockets: BUS_ONLY }, managers);
    expect(await runMachinectl(["disable", "gone"], process)).toBe(0);
    expect([...managers.enabled]).toEqual([]);
    expect(process.stderr).toContain("systemd-nspawn@gone.service");
  });

  test("is refused where there is neither an image nor an enabled unit", async () => {
    const { process, status } = await run("disable nosuch");
    expect([process.stderr, status]).toEqual(["Machine image 'nosuch' does not exist.\n", 1]);
  });

  test("the message that a verb was replaced by importctl is printed only where the distribution has an importctl", async () => {
    for (const hasImportctl of [true, false]) {
      const process = new FakeProcess(WORLD, { sockets: BUS_ONLY, hasImportctl });
      await runMachinectl(["import-tar", "/nosuch"], process);
      expect(process.stderr.includes("has been replaced by 'importctl -m import-tar'")).toBe(hasImportctl);
    }
  });

  test("starts nothing when enabling failed", async () => {
    expect((await run("enable --now nosuch")).members).toEqual(["GetImage(s)"]);
  });
});

describe("several machines", () => {
  test("are handled in order, up to the first error", async () => {
    const { calls, process, status } = await run("kill alpha nosuch mini");
    expect(calls.map(({ body }) => body?.[0])).toEqual(["alpha", "nosuch"]);
    expect([process.stderr, status]).toEqual(["Could not kill machine: No machine 'nosuch' known\n", 1]);
  });

  test("are started side by side, also before the error about an unknown name", async () => {
    const { members, process, status } = await run("start alpha nosuch");
    expect(members).toEqual(["GetImage(s)", "StartUnit(ss)", "GetImage(s)"]);
    expect([process.stderr, status]).toEqual(["Machine image 'nosuch' does not exist.\n", 1]);
  });

  test("are listed by concurrent calls, a limited number at a time", async () => {
    const machines = Array.from({ length: 300 }, (_, i) => ({ ...MINI, name: `m${i}`, addresses: ["10.0.0.1"] }));
    const managers = new FakeManagers({ machines, images: [] });
    let [open, most] = [0, 0];
    const bus = managers.bus();
    const process = new FakeProcess({ ...WORLD, machines }, { sockets: BUS_ONLY }, managers);
    process.connectBus = async () => ({
      ...bus,
      call: async (call) => {
        most = Math.max(most, ++open);
        await new Promise(setImmediate);
        open--;
        return bus.call(call);
      },
    });
    expect(await runMachinectl(["list", "--no-legend"], process)).toBe(0);
    expect(process.stdout.split("\n").length).toBe(301);
    expect([most > 32, most <= 128]).toEqual([true, true]);
  });
});

describe("control sockets (C85)", () => {
  const world = { ...WORLD, controls: { alpha: "/run/alpha.control" } };
  const providers = ["fs", "bad"].map((name) => `/run/systemd/io.systemd.StorageProvider/${name}`);
  const sockets = ["system", VARLINK, ...providers];
  const methods: [line: string, method: string][] = [
    ["poweroff alpha", "PowerOff"],
    ["reboot alpha", "Reboot"],
    ["terminate alpha", "Terminate"],
    ["pause alpha", "Pause"],
    ["resume alpha", "Resume"],
  ];
  for (const [line, method] of methods) {
    test(`${line} is sent to the machine's control socket`, async () => {
      const { process, members, status } = await run(line, { sockets }, world);
      const sent = process.managers.varlinkCalls.map((call) => [call.path, call.method]);
      expect(sent).toEqual([
        [VARLINK, "io.systemd.Machine.List"],
        ["/run/alpha.control", `io.systemd.MachineInstance.${method}`],
      ]);
      expect([members, status]).toEqual([[], 0]);
    });
  }

  test("without a control socket, the manager is called over the bus", async () => {
    expect((await run("poweroff mini", { sockets }, world)).members).toEqual(["KillMachine(ssi)"]);
  });

  for (const verb of ["pause", "resume"]) {
    test(`C86 ${verb} needs a control socket`, async () => {
      const { process, status } = await run(`${verb} mini`, { sockets }, world);
      expect(process.stderr).toBe("Machine 'mini' does not expose a varlink control socket.\n");
      expect(status).toBe(1);
    });
  }

  test("C86 bind-volume acquires the volume and passes it to the machine", async () => {
    const { process, status } = await run(
      "bind-volume alpha fs:disk:virtio-scsi:ro=yes,create=new,size=1G",
      { sockets },
      world,
    );
    expect([process.stderr, status]).toEqual(["", 0]);
    expect(process.managers.varlinkCalls.slice(1)).toEqual([
      {
        path: "/run/systemd/io.systemd.StorageProvider/fs",
        method: "io.systemd.StorageProvider.Acquire",
        parameters: {
          ...{ name: "disk", readOnly: true, createMode: "new", createSizeBytes: 1n << 30n },
          allowInteractiveAuthentication: true,
        },
      },
      {
        path: "/run/alpha.control",
        method: "io.systemd.MachineInstance.AddStorage",
        parameters: { fileDescriptorIndex: 0, name: "fs:disk", config: "virtio-scsi" },
      },
    ]);
    expect(process.managers.filesSent).toEqual(["/dev/null"]);
  });

  test.each([
    ["unbind-volume alpha fs:disk", ""],
    ["unbind-volume alpha fs", "Invalid unbind-volume name 'fs', expected '<provider>:<volume>'."],
    ["bind-volume alpha fs", "Failed to parse bind-volume argument 'fs': Invalid argument"],
    [
      "bind-volume alpha fs:d::size=-1",
      "Failed to parse bind-volume argument 'fs:d::size=-1': Numerical result out of range",
    ],
    ["bind-volume mini fs:disk", "Machine 'mini' does not expose a varlink control socket."],
    [
      "bind-volume alpha bad:disk",
      "Failed to acquire storage volume 'bad:disk' from provider: io.systemd.StorageProvider.NoSuchVolume",
    ],
    ["-H host bind-volume alpha fs:disk", "bind-volume is only supported on the local transport."],
  ])("%s", async (line, text) => {
    const { process, status } = await run(line, { sockets }, world);
    expect([process.stderr.trim(), status]).toEqual([text, text === "" ? 0 : 1]);
  });

  test("kill is always sent over the bus", async () => {
    expect((await run("kill alpha", { sockets }, world)).process.managers.varlinkCalls).toEqual([]);
  });

  test("when a name cannot be looked up, the error has the Varlink error's name", async () => {
    const process = new FakeProcess(world, { sockets });
    expect(await runMachinectl(["poweroff", "a b"], process)).toBe(1);
    expect(process.stderr).toBe("Failed to look up machine 'a b': org.varlink.service.InvalidParameter\n");
  });
});

describe("without a bus", () => {
  test("the private socket is used", async () => {
    const { process, status, members } = await run("show mini -p Class", { sockets: [PRIVATE] });
    expect(process.targets.map(({ kind }) => kind)).toEqual(["system", "private"]);
    expect([process.stdout, status, members.length]).toEqual(["Class=container\n", 0, 2]);
  });

  test("the private socket in $MACHINED_RUNTIME_DIRECTORY is preferred to the bus", async () => {
    const env = { MACHINED_RUNTIME_DIRECTORY: "/tmp/own" };
    const { process } = await run("show mini -p Class", { env, sockets: ["system", "/tmp/own/machine/private"] });
    expect(process.targets).toEqual([{ kind: "private", path: "/tmp/own/machine/private" }]);
  });

  test("the failure of the bus is reported if there is no private socket either", async () => {
    const { process, status } = await run("show mini", { sockets: [] });
    const text = "Failed to connect to system scope bus via local transport: No such file or directory\n";
    expect([process.stderr, status]).toEqual([text, 1]);
  });

  test("processes are looked up in the control groups of the host", async () => {
    const { process } = await run("status mini -n 0", { sockets: [PRIVATE] });
    expect(process.stdout).toContain("\t\t  └─payload\n\t\t    └─808 /bin/sleep 100000\n");
  });
});

test("a manager that is not on the bus is called over its private socket", async () => {
  const process = new FakeProcess(WORLD, { sockets: ["system", PRIVATE] });
  const connect = process.connectBus;
  process.connectBus = async (target) => {
    const bus = await connect(target);
    if (target.kind === "private") return bus;
    const refuse = async () => {
      throw new FakeBusError("org.freedesktop.DBus.Error.ServiceUnknown", "not provided by any .service files");
    };
    return { ...bus, call: refuse };
  };
  expect(await runMachinectl(["show", "mini", "-p", "Class"], process)).toBe(0);
  expect(process.stdout).toBe("Class=container\n");
});

test("with a manager without images, start does not check that the image exists", async () => {
  const process = new FakeProcess(WORLD, { sockets: BUS_ONLY });
  const bus = process.managers.bus();
  process.connectBus = async () => ({
    ...bus,
    call: async (call) => {
      if (call.member === "GetImage")
        throw new FakeBusError("org.freedesktop.DBus.Error.UnknownMethod", "Unknown method");
      return bus.call(call);
    },
  });
  expect(await runMachinectl(["start", "elsewhere"], process)).toBe(0);
  expect(process.managers.members).toEqual(["StartUnit(ss)"]);
});

test("start waits for its jobs, and fails when the connection to the bus is lost", async () => {
  const process = new FakeProcess(WORLD, { sockets: BUS_ONLY });
  const bus = process.managers.bus();
  let [emit, drop]: [(result: string) => void, () => void] = [() => {}, () => {}];
  let queued: () => void = () => {};
  process.connectBus = async () => ({
    ...bus,
    subscribe: async (_rule, handler) => {
      const unit = "systemd-nspawn@mini.service";
      emit = (result) => handler([1, "/job/1", unit, result], { path: "", sender: "", member: "" });
      return async () => {};
    },
    onClose: (handler) => {
      drop = handler;
    },
    call: async (call) => {
      if (call.member !== "StartUnit") return bus.call(call);
      queued();
      return ["/job/1"];
    },
  });
  const startMini = async () => {
    const isQueued = new Promise<void>((resolve) => {
      queued = resolve;
    });
    const status = runMachinectl(["start", "mini"], process);
    await isQueued;
    return { status };
  };

  const failing = await startMini();
  emit("timeout");
  expect([await failing.status, process.stderr]).toEqual([1, "Job for systemd-nspawn@mini.service timed out.\n"]);

  const losing = await startMini();
  drop();
  const lost = "Failed to wait for jobs: Connection reset by peer";
  expect([await losing.status, process.stderr.split("\n")[1]]).toEqual([1, lost]);
});

describe("agents (C118)", () => {
  const unprivileged = { euid: 1000, stdinIsTty: true };

  test("polkit's agent runs for verbs that change something, and is ended", async () => {
    const { process } = await run("kill alpha", unprivileged);
    expect(process.agents).toEqual([{ argv: ["pkttyagent", "--fallback"], waitForReady: true, stopped: true }]);
  });

  const without: [why: string, line: string, around: Surroundings][] = [
    ["root", "kill alpha", { ...unprivileged, euid: 0 }],
    ["a caller without a terminal", "kill alpha", { ...unprivileged, stdinIsTty: false }],
    ["--no-ask-password", "kill alpha --no-ask-password", unprivileged],
    ["another host", "kill alpha -H host", unprivileged],
    ["a container's manager (C126)", "kill alpha -M .host", unprivileged],
    ["verbs that only read", "list", unprivileged],
  ];
  for (const [why, line, around] of without) {
    test(`no agent runs for ${why}`, async () => expect((await run(line, around)).process.agents).toEqual([]));
  }

  test("start also runs the agent for passwords of units, for root and for others", async () => {
    const { process } = await run("start alpha", { ...unprivileged, euid: 0 });
    expect(process.agents.map(({ argv }) => argv[0])).toEqual(["systemd-tty-ask-password-agent"]);
  });
});

describe("journal", () => {
  test("C45 is not read with -n 0, nor over another transport", async () => {
    for (const line of ["status alpha -n 0", "status alpha -M .host", "status alpha -H host"]) {
      expect((await run(line)).process.commands).toEqual([]);
    }
  });

  test("is filtered by the unit as systemd filters it", async () => {
    const [first] = (await run("status alpha -n 2")).process.commands;
    const unit = ALPHA.unit;
    expect(first?.argv.slice(first.argv.indexOf(`_SYSTEMD_UNIT=${unit}`)).join(" ")).toBe(
      `_SYSTEMD_UNIT=${unit} + _SYSTEMD_CGROUP=/init.scope UNIT=${unit} + _PID=1 UNIT=${unit} + ` +
        `_UID=0 OBJECT_SYSTEMD_UNIT=${unit} + MESSAGE_ID=fc2e22bc6ee647b6b90729ab34a250b1 COREDUMP_UNIT=${unit}`,
    );
  });

  test("has no entries from before the machine was registered", async () => {
    const journal = ["old of an earlier machine]: gone", "Nov 22 12:35:04 vm systemd[1]: new"];
    const world = { ...WORLD, machines: [{ ...ALPHA, journal }] };
    for (const [mode, text] of [
      ["cat", "new"],
      ["short", journal[1]],
    ]) {
      const { process } = await run(`status alpha -o ${mode}`, {}, world);
      expect(process.stdout.endsWith(`\n\n${text}\n`)).toBe(true);
      expect(process.commands.length).toBe(2);
    }
  });

  test("is read by one run of journalctl where all entries are of the machine", async () => {
    const { process } = await run("status alpha -n 2");
    expect(process.commands.length).toBe(1);
    expect(process.stdout.endsWith(`\n\n${(ALPHA.journal ?? []).slice(-2).join("\n")}\n`)).toBe(true);
  });

  test("is left out where journalctl is not installed", async () => {
    const { process, status } = await run("status alpha", { hasJournal: false });
    expect([process.stdout.endsWith("systemd-logind\n"), status]).toEqual([true, 0]);
  });
});
