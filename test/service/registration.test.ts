// The limits of a registration's fields, and the state after a refused registration.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Machine, Manager } from "../../src/api/machine1.ts";
import { Variant } from "../../src/base/variant.ts";
import type { VarlinkClient } from "../../src/ipc/varlink/client.ts";
import { attachProcess, createCgroup, removeCgroup } from "../../src/kernel/cgroup/cgroup.ts";
import { errorOf, isRoot, manager, needsRoot, object, register, TestDaemon } from "../lib/daemon.ts";
import { PlayedBroker } from "../lib/played-broker.ts";
import { waitFor } from "../lib/wait-for.ts";

const NAME = "org.freedesktop.machine1";
const PATH = "/org/freedesktop/machine1";
const NOBODY = 65534;
const LONG = "x".repeat(70_000);

describe.skipIf(!isRoot)(`registration${needsRoot}`, () => {
  const root = mkdtempSync(join(tmpdir(), "machined-registration-"));
  const broker = new PlayedBroker(join(root, "bus"));
  let daemon: TestDaemon;
  let bus: Awaited<ReturnType<TestDaemon["bus"]>>;
  let varlink: VarlinkClient;
  let leader: number;

  beforeAll(async () => {
    daemon = await TestDaemon.start({
      DBUS_SYSTEM_BUS_ADDRESS: broker.address,
      MACHINED_REGISTER_POLICY: "polkit",
      MACHINED_SERVICE_MANAGER: "own",
    });
    chmodSync(daemon.runtime, 0o755);
    bus = await daemon.bus();
    varlink = await daemon.varlink();
    leader = await daemon.leader();
    await broker.untilOwned(NAME);
  });
  afterAll(async () => {
    await daemon[Symbol.asyncDispose]();
    await waitFor(() => removeCgroup(daemon.slice), "the unit to be empty");
    await broker[Symbol.asyncDispose]();
    rmSync(root, { recursive: true, force: true });
  });

  const overVarlink = async (more: object): Promise<string> => {
    try {
      await varlink.call("io.systemd.Machine.Register", { name: "bounds", class: "container", leader, ...more });
    } catch (error) {
      const { id, parameters } = error as { id: string; parameters: object };
      return `${id} ${JSON.stringify(parameters)}`;
    }
    await manager(bus, "UnregisterMachine", "s", "bounds");
    return "it succeeded";
  };
  const invalid = (parameter: string) => `org.varlink.service.InvalidParameter {"parameter":"${parameter}"}`;

  const texts = { service: "service", sshAddress: "sshAddress", sshPrivateKeyPath: "sshPrivateKeyPath" };
  for (const parameter of [...Object.keys(texts), "rootDirectory", "controlAddress"]) {
    test(`Varlink refuses a ${parameter} that is too long, or that has control characters`, async () => {
      const start = parameter === "rootDirectory" ? "/" : "";
      expect(await overVarlink({ [parameter]: start + LONG })).toBe(invalid(parameter));
      for (const character of ["\u001b]0;title\u0007", "\n", "\u007f", "\u009b31m"]) {
        expect(await overVarlink({ [parameter]: `${start}a${character}b` })).toBe(invalid(parameter));
      }
      expect(await overVarlink({ [parameter]: `${start}plain ü` })).toBe("it succeeded");
    });
  }

  test("Varlink refuses numbers that are out of range", async () => {
    for (const index of [0, -1, 0x8000_0000, 0xffff_ffff, 2 ** 40]) {
      expect(await overVarlink({ ifIndices: [1, index] })).toBe(invalid("ifIndices"));
    }
    expect(await overVarlink({ ifIndices: Array.from({ length: 2000 }, (_, i) => i + 1) })).toBe(invalid("ifIndices"));
    expect(await overVarlink({ ifIndices: [1, 0x7fff_ffff] })).toBe("it succeeded");
    for (const vSockCid of [-1, 0, 1, 2, 2 ** 32, 2 ** 40]) {
      expect(await overVarlink({ vSockCid })).toBe(invalid("vSockCid"));
    }
  });

  test("D-Bus refuses the same texts and numbers", async () => {
    const refused = async (options: Parameters<typeof register>[3]) =>
      expect(await errorOf(register(bus, "bounds", leader, options))).toStartWith("InvalidArgs: ");
    await refused({ service: LONG });
    await refused({ service: "a\u001b[31mb" });
    await refused({ root: `/${LONG}` });
    await refused({ root: "/a\nb" });
    await refused({ ifindices: [0] });
    await refused({ ifindices: Array.from({ length: 2000 }, (_, i) => i + 1) });
    const ex = (key: string, type: string, value: unknown) =>
      errorOf(
        manager(bus, "RegisterMachineEx", "sa(sv)", "bounds", [
          ["Class", new Variant("s", "container")],
          [key, new Variant(type, value)],
        ]),
      );
    for (const key of ["Service", "SSHAddress", "SSHPrivateKeyPath"]) {
      expect(await ex(key, "s", LONG)).toStartWith("InvalidArgs: ");
      expect(await ex(key, "s", "a\u0007")).toStartWith("InvalidArgs: ");
    }
    for (const cid of [0, 1, 2, 0xffff_ffff]) expect(await ex("VSockCID", "u", cid)).toStartWith("InvalidArgs: ");
  });

  test("a leader that is named as process 0 is refused over Varlink: it is a variable that was not set", async () => {
    expect(await overVarlink({ leader: 0 })).toBe(invalid("leader"));
    expect(await overVarlink({ leader: undefined, leaderProcessId: { pid: 0 } })).toBe(invalid("leaderProcessId"));
  });

  test("all properties of a machine with the largest numbers can be read", async () => {
    const numbers = { ifIndices: [0x7fff_ffff], vSockCid: 0xffff_fffe };
    await varlink.call("io.systemd.Machine.Register", { name: "bounds", class: "container", leader, ...numbers });
    const path = `${PATH}/machine/bounds`;
    const [all] = await object(bus, path, "org.freedesktop.DBus.Properties", "GetAll", "s", Machine.name);
    expect((all as Map<string, Variant>).get("NetworkInterfaces")?.value).toEqual([0x7fff_ffff]);
    await manager(bus, "UnregisterMachine", "s", "bounds");
  });

  test("a machine in a state file of another daemon is restored without the invalid fields", async () => {
    await register(bus, "foreign", leader, { service: "fine", root: "/" });
    const file = join(daemon.runtime, "machines/foreign");
    const text = readFileSync(file, "utf8")
      .replace("SERVICE=fine", `SERVICE=${LONG}`)
      .replace(/^REALTIME=.*$/m, "REALTIME=99999999999999999999")
      .replace(/^UID=.*$/m, "UID=9999999999");
    await daemon.kill("SIGKILL");
    writeFileSync(file, `${text}NETIF="1 4294967295 7"\nVSOCK_CID=9999999999\nSSH_ADDRESS="a\u001b[31mb"\n`);
    await daemon.run();
    bus = await daemon.bus();
    varlink = await daemon.varlink();
    await broker.untilOwned(NAME);
    const path = `${PATH}/machine/foreign`;
    const [all] = await object(bus, path, "org.freedesktop.DBus.Properties", "GetAll", "s", Machine.name);
    const value = (name: string) => (all as Map<string, Variant>).get(name)?.value;
    expect([value("Service"), value("SSHAddress"), value("RootDirectory")]).toEqual(["", "", "/"]);
    expect([value("NetworkInterfaces"), value("VSockCID"), value("UID")]).toEqual([[1, 7], 0xffff_ffff, 0]);
    await manager(bus, "UnregisterMachine", "s", "foreign");
  });

  /** The machine "dead": its leader has ended, another process is left in its unit. Owned by root. */
  async function registerDead(): Promise<void> {
    const child = Bun.spawn(["sleep", "1000"], { stdio: ["ignore", "ignore", "ignore"] });
    const unit = `${daemon.slice}/registration.service`;
    createCgroup(unit);
    attachProcess(unit, child.pid);
    attachProcess(unit, await daemon.leader());
    await register(bus, "dead", child.pid);
    child.kill("SIGKILL");
    await child.exited;
  }

  const registerAs = (uid: number, pid: number): Promise<unknown[]> => {
    const body = ["dead", new Uint8Array(0), "test", "container", pid, ""];
    return broker.call(broker.caller(uid), NAME, {
      ...{ path: PATH, interface: Manager.name, member: "RegisterMachine", signature: "sayssus", body },
    });
  };
  const isListed = async () =>
    ((await manager(bus, "ListMachines")) as [[string][]])[0].some(([name]) => name === "dead");

  test("a user without permission to register cannot take the name of a dead machine", async () => {
    await registerDead();
    expect(await isListed()).toBe(true);
    broker.onQuestion = (question) => question.answer(false);
    expect(await errorOf(registerAs(NOBODY, leader))).not.toContain("succeeded");
    expect(await isListed()).toBe(true);
  });

  test("a user with that permission cannot take the name while a process is left in the unit, but root can", async () => {
    broker.onQuestion = (question) => question.answer(true, { "polkit.result": "auth_admin" });
    expect(await errorOf(registerAs(NOBODY, leader))).toStartWith("org.freedesktop.machine1.MachineExists");
    expect(await isListed()).toBe(true);
    await registerAs(0, leader);
    await waitFor(async () => {
      const [path] = (await manager(bus, "GetMachine", "s", "dead")) as [string];
      const [pid] = await object(bus, path, "org.freedesktop.DBus.Properties", "Get", "ss", Machine.name, "Leader");
      if ((pid as Variant).value !== leader) throw new Error("the dead one is still there");
    }, "root's machine");
    await manager(bus, "UnregisterMachine", "s", "dead");
  });

  test("a name that another call has reserved while polkit was asked is refused", async () => {
    broker.onQuestion = () => {};
    broker.questions.length = 0;
    const late = errorOf(registerAs(NOBODY, leader));
    const question = await waitFor(() => {
      if (broker.questions[0] === undefined) throw new Error("it has not");
      return broker.questions[0];
    }, "the daemon to ask polkit");
    await register(bus, "dead", await daemon.leader());
    question.answer(true, { "polkit.result": "auth_admin" });
    expect(await late).toStartWith("org.freedesktop.machine1.MachineExists");
    await manager(bus, "UnregisterMachine", "s", "dead");
  });
});
