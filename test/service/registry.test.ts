// The manager's calls on a daemon with the embedded service manager, over the private socket: arguments, errors, start
// and end of machines.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { lstatSync, readdirSync, readFileSync, readlinkSync, statSync, watch, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseEnvFile } from "../../src/base/text/env-file.ts";
import type { BusClient } from "../../src/ipc/bus/client.ts";
import { attachProcess, cgroupOfProcess } from "../../src/kernel/cgroup/cgroup.ts";
import { monotonicUsec } from "../../src/kernel/syscall/time.ts";
import { errorOf, getProperty, isRoot, manager, needsRoot, object, register, TestDaemon } from "../lib/daemon.ts";
import { waitFor } from "../lib/wait-for.ts";

const MACHINE = "org.freedesktop.machine1.Machine";
const HOST = "/org/freedesktop/machine1/machine/_2ehost";
const PROPERTIES = "org.freedesktop.DBus.Properties";

describe.skipIf(!isRoot)(`the manager's calls${needsRoot}`, () => {
  let daemon: TestDaemon;
  let bus: BusClient;

  beforeAll(async () => {
    daemon = await TestDaemon.start();
    bus = await daemon.bus();
  });
  afterAll(() => daemon[Symbol.asyncDispose]());

  const names = async () => ((await manager(bus, "ListMachines"))[0] as string[][]).map(([name]) => name);
  const gone = (name: string) =>
    waitFor(async () => {
      if ((await names()).includes(name)) throw new Error(`${name} is still listed`);
    }, `the end of ${name}`);

  test("M13 the error of GetMachine for an unknown name is NoSuchMachine", async () => {
    expect(await errorOf(manager(bus, "GetMachine", "s", "nosuch"))).toBe(
      "org.freedesktop.machine1.NoSuchMachine: No machine 'nosuch' known",
    );
  });

  test("M14 the error for an invalid name is NoSuchMachine as well, not one about the syntax", async () => {
    for (const name of ["..", "", "a/b", "x".repeat(64 << 10)]) {
      expect(await errorOf(manager(bus, "GetMachine", "s", name))).toContain("NoSuchMachine");
    }
  });

  test("M15 M16 M23 M24 V60 the host is a machine", async () => {
    expect(await manager(bus, "GetMachine", "s", ".host")).toEqual([HOST]);
    expect(await manager(bus, "ListMachines")).toEqual([[[".host", "host", "", HOST]]]);
    const get = (name: string) => getProperty(bus, HOST, MACHINE, name);
    expect(await get("Unit")).toBe("-.slice");
    expect(await get("Leader")).toBe(1);
    expect(await get("RootDirectory")).toBe("/");
    expect(await get("Class")).toBe("host");
    expect(await get("State")).toBe("running");
    expect(await get("TimestampMonotonic")).toBe(0n);
    const uptimeMs = Number(readFileSync("/proc/uptime", "latin1").split(" ")[0]) * 1000;
    const sinceBoot = Date.now() - Number((await get("Timestamp")) as bigint) / 1000;
    expect(Math.abs(sinceBoot - uptimeMs)).toBeLessThan(5000);
    const id = readFileSync("/etc/machine-id", "latin1").trim();
    expect(Buffer.from((await get("Id")) as Uint8Array).toString("hex")).toBe(id);
  });

  test("M17 M18 M20 the error of GetMachineByPID for a process in no machine is NoMachineForPID", async () => {
    for (const pid of [999_999, 1, 0]) {
      expect(await errorOf(manager(bus, "GetMachineByPID", "u", pid))).toContain("NoMachineForPID");
    }
    expect(await errorOf(manager(bus, "GetMachineByPID", "u", 0x8000_0000))).toContain("InvalidArgs");
  });

  test("M26 M28 M29 the name is checked first, the leader's number after it", async () => {
    for (const name of ["..", ".", "", ".host", "a..b", "a-", "-a", "a_b", "a b", "x.", "ä", "x".repeat(65)]) {
      expect(await errorOf(register(bus, name, 1))).toBe("InvalidArgs: Invalid machine name");
    }
    expect(await errorOf(register(bus, "A.b", 1))).toBe("InvalidArgs: Invalid leader PID");
  });

  test("M27 a name may have 64 characters, but not 65", async () => {
    expect(await errorOf(register(bus, "a".repeat(64), 1))).toBe("InvalidArgs: Invalid leader PID");
    expect(await errorOf(register(bus, "a".repeat(65), 1))).toBe("InvalidArgs: Invalid machine name");
  });

  test("M30 M31 M32 M34 M35 M36 the errors for invalid arguments name them", async () => {
    const leader = await daemon.leader();
    const refused = (options: Parameters<typeof register>[3]) => errorOf(register(bus, "m1", leader, options));
    expect(await refused({ id: Buffer.from([1, 2, 3]) })).toBe("InvalidArgs: Invalid machine ID parameter");
    expect(await refused({ class: "foobar" })).toBe("InvalidArgs: Invalid machine class parameter");
    expect(await refused({ class: "host" })).toBe("InvalidArgs: Invalid machine class parameter");
    expect(await refused({ root: "rel/path" })).toBe("InvalidArgs: Root directory must be empty or an absolute path");
    expect(await refused({ ifindices: [0] })).toBe("InvalidArgs: Invalid network interface index 0");
    expect(await refused({ ifindices: [1, -1] })).toBe("InvalidArgs: Invalid network interface index -1");
  });

  test("M33 an empty class is refused, and no machine stays", async () => {
    expect(await errorOf(register(bus, "m1", await daemon.leader(), { class: "" }))).toBe(
      "NotSupported: Operation not supported",
    );
    expect(await names()).toEqual([".host"]);
  });

  test("M38 a registration with a leader that does not exist fails", async () => {
    expect(await errorOf(register(bus, "m1", 4_000_000))).toBe(
      "UnixProcessIdUnknown: Failed to pin process 4000000: No such process",
    );
  });

  test("M41 M60 a name and a leader can be registered once", async () => {
    const leader = await daemon.leader();
    await register(bus, "twice", leader);
    expect(await errorOf(register(bus, "twice", await daemon.leader()))).toBe(
      "org.freedesktop.machine1.MachineExists: Machine 'twice' already exists",
    );
    expect(await errorOf(register(bus, "other", leader))).toBe("FileExists: File exists");
    expect(await names()).toEqual([".host", "twice"]);
    await manager(bus, "UnregisterMachine", "s", "twice");
  });

  test("M47 M50 M51 M54 M55 M58 V57 V58 V59 a machine is signalled, listed, and saved in a file by rename(2)", async () => {
    const seen: string[] = [];
    const directory = watch(join(daemon.runtime, "machines"), (kind, file) => seen.push(`${kind} ${file}`));
    const announced = new Promise<unknown[]>((resolve) => {
      void bus.subscribe({ member: "MachineNew" }, (body) => resolve(body));
    });
    const leader = await daemon.leader();
    const id = Buffer.from("0102030405060708090a0b0c0d0e0f10", "hex");
    const path = "/org/freedesktop/machine1/machine/web_2d1_2ea";
    const options = { id, service: "my svc", root: "/tmp/ro ot", ifindices: [1, 7], create: true as const };
    expect(await register(bus, "web-1.a", leader, options)).toEqual([path]);
    expect(await announced).toEqual(["web-1.a", path]);
    const file = join(daemon.runtime, "machines/web-1.a");
    expect(lstatSync(file).mode & 0o777).toBe(0o644);
    expect(readlinkSync(join(daemon.runtime, "machines/unit:machine-web\\x2d1.a.scope"))).toBe("web-1.a");
    const text = readFileSync(file, "utf8");
    const lines = text.split("\n").map((line) => line.split("=")[0]);
    expect(lines.slice(0, 4)).toEqual(["# This is private data. Do not parse.", "NAME", "UID", "SCOPE"]);
    expect(text).toContain('NETIF=" 1 7"\nVSOCK_CID=4294967295\n');
    expect(text).toContain('SCOPE="machine-web\\\\x2d1.a.scope"\n');
    const keys = parseEnvFile(text);
    expect(keys.get("SCOPE")).toBe("machine-web\\x2d1.a.scope");
    expect(keys.get("ROOT")).toBe("/tmp/ro ot");
    expect(keys.get("LEADER")).toBe(String(leader));
    expect(keys.get("LEADER_PIDFDID")).toMatch(/^\d+$/);
    await waitFor(() => {
      if (!seen.includes("rename web-1.a")) throw new Error(`saw ${seen.join(", ")}`);
    }, "the rename");
    directory.close();
    expect(await manager(bus, "GetMachineByPID", "u", leader)).toEqual([path]);
  });

  test("M5 M6 M7 M8 properties can be read one by one and all together, and unknown and read-only ones are errors", async () => {
    const path = "/org/freedesktop/machine1/machine/web_2d1_2ea";
    expect(await getProperty(bus, path, MACHINE, "Scope")).toBe("machine-web\\x2d1.a.scope");
    expect(await errorOf(getProperty(bus, path, MACHINE, "Nope"))).toBe(
      `UnknownProperty: Unknown interface ${MACHINE} or property Nope.`,
    );
    expect(await errorOf(getProperty(bus, path, "org.nope", "Name"))).toBe(
      "UnknownProperty: Unknown interface org.nope or property Name.",
    );
    const { Variant } = await import("../../src/base/variant.ts");
    const set = object(bus, path, PROPERTIES, "Set", "ssv", MACHINE, "Name", new Variant("s", "x"));
    expect(await errorOf(set)).toBe("PropertyReadOnly: Property 'Name' is not writable.");
    const [all] = (await object(bus, path, PROPERTIES, "GetAll", "s", "")) as [Map<string, { value: unknown }>];
    expect([...all.keys()].join(" ")).toBe(
      "Name Id Timestamp TimestampMonotonic Service Unit Subgroup Leader LeaderPIDFDId Supervisor SupervisorPIDFDId " +
        "Class RootDirectory NetworkInterfaces VSockCID SSHAddress SSHPrivateKeyPath State UID",
    );
    expect(all.get("NetworkInterfaces")?.value).toEqual([1, 7]);
  });

  test("M4 M9 M22 unknown members, signatures and objects have the object layer's errors", async () => {
    const path = "/org/freedesktop/machine1/machine/web_2d1_2ea";
    const objects = "org.freedesktop.DBus.ObjectManager";
    expect(await errorOf(object(bus, "/org/freedesktop/machine1", objects, "GetManagedObjects"))).toBe(
      `UnknownMethod: Unknown method GetManagedObjects or interface ${objects}.`,
    );
    expect(await errorOf(object(bus, path, MACHINE, "Kill", "s", "x"))).toBe(
      `InvalidArgs: Invalid arguments 's' to call ${MACHINE}.Kill(), expecting 'si'.`,
    );
    expect(await errorOf(object(bus, "/org/freedesktop/machine1/machine/nosuch", MACHINE, "Terminate"))).toBe(
      "UnknownObject: Unknown object '/org/freedesktop/machine1/machine/nosuch'.",
    );
  });

  test("M10 M11 LogControl1 reads and sets the level", async () => {
    const path = "/org/freedesktop/LogControl1";
    const iface = "org.freedesktop.LogControl1";
    const { Variant } = await import("../../src/base/variant.ts");
    const set = (name: string, value: string) =>
      object(bus, path, PROPERTIES, "Set", "ssv", iface, name, new Variant("s", value));
    expect(await getProperty(bus, path, iface, "LogLevel")).toBe("info");
    expect(await getProperty(bus, path, iface, "LogTarget")).toBe("auto");
    expect(await getProperty(bus, path, iface, "SyslogIdentifier")).toBe("systemd-machined");
    expect(await errorOf(set("LogLevel", "bogus"))).toBe("InvalidArgs: Invalid log level 'bogus'");
    await set("LogLevel", "debug");
    expect(await getProperty(bus, path, iface, "LogLevel")).toBe("debug");
    await set("LogLevel", "info");
    await set("LogTarget", "null");
    await set("LogTarget", "auto");
  });

  test("M21 the object 'self' does not exist for a caller in no machine", async () => {
    const self = "/org/freedesktop/machine1/machine/self";
    expect(await errorOf(getProperty(bus, self, MACHINE, "Name"))).toBe(`UnknownObject: Unknown object '${self}'.`);
  });

  test("M66 M67 M68 the calls with a list of properties refuse unknown ones", async () => {
    const { Variant } = await import("../../src/base/variant.ts");
    const ex = (...properties: [string, InstanceType<typeof Variant>][]) =>
      errorOf(manager(bus, "RegisterMachineEx", "sa(sv)", "ex", properties));
    const container: [string, InstanceType<typeof Variant>] = ["Class", new Variant("s", "container")];
    expect(await ex(["x", new Variant("s", "")])).toBe("InvalidArgs: Unknown property 'x'");
    expect(await ex(container, ["LeaderPID", new Variant("u", 4)])).toContain("InvalidArgs");
    expect(await ex(container, ["VSockCID", new Variant("u", 2)])).toContain("InvalidArgs");
    expect(await ex(container, ["Class", new Variant("u", 2)])).toContain("InvalidArgs");
  });

  test("RegisterMachineEx takes a pidfd, and the number with the pidfd's inode", async () => {
    const { Variant } = await import("../../src/base/variant.ts");
    const { PidRef } = await import("../../src/kernel/process/pidref.ts");
    using leader = PidRef.of(await daemon.leader());
    const container: [string, InstanceType<typeof Variant>] = ["Class", new Variant("s", "container")];
    const ssh: [string, InstanceType<typeof Variant>][] = [
      ["SSHAddress", new Variant("s", "vsock/7")],
      ["SSHPrivateKeyPath", new Variant("s", "/k")],
      ["VSockCID", new Variant("u", 7)],
    ];
    const byFd: [string, InstanceType<typeof Variant>] = ["LeaderPIDFD", new Variant("h", leader.pidfd)];
    const [path] = (await manager(bus, "RegisterMachineEx", "sa(sv)", "ex", [container, byFd, ...ssh])) as [string];
    expect(await getProperty(bus, path, MACHINE, "Leader")).toBe(leader.pid);
    expect(await getProperty(bus, path, MACHINE, "LeaderPIDFDId")).toBe(leader.id);
    expect(await manager(bus, "GetMachineSSHInfo", "s", "ex")).toEqual(["vsock/7", "/k"]);
    await manager(bus, "UnregisterMachine", "s", "ex");
    const number = ["LeaderPID", new Variant("u", leader.pid)];
    const wrong = ["LeaderPIDFDID", new Variant("t", (leader.id ?? 0n) + 1n)];
    const right = ["LeaderPIDFDID", new Variant("t", leader.id ?? 0n)];
    expect(await errorOf(manager(bus, "RegisterMachineEx", "sa(sv)", "ex", [container, number, wrong]))).toContain(
      "UnixProcessIdUnknown",
    );
    await manager(bus, "RegisterMachineEx", "sa(sv)", "ex", [container, number, right]);
    await manager(bus, "UnregisterMachine", "s", "ex");
  });

  test("M62 M80 the caller that registers another process is its supervisor", async () => {
    await register(bus, "sup", await daemon.leader());
    const path = "/org/freedesktop/machine1/machine/sup";
    expect(await getProperty(bus, path, MACHINE, "Supervisor")).toBe(process.pid);
    await manager(bus, "KillMachine", "ssi", "sup", "supervisor", 18);
    await manager(bus, "UnregisterMachine", "s", "sup");
  });

  test("M69 M70 M71 unregistering removes the machine and does not end its processes", async () => {
    const removed: unknown[] = [];
    const stop = await bus.subscribe({ member: "MachineRemoved" }, (body) => removed.push(body[0]));
    const leader = await daemon.leader();
    await register(bus, "unreg", leader, { create: true });
    await manager(bus, "UnregisterMachine", "s", "unreg");
    expect(await names()).not.toContain("unreg");
    expect(readdirSync(join(daemon.runtime, "machines")).join()).not.toContain("unreg");
    expect(() => process.kill(leader, 0)).not.toThrow();
    await manager(bus, "UnregisterMachine", "s", ".host");
    expect(await names()).toContain(".host");
    await stop();
    expect(removed).toEqual(["unreg"]);
  });

  test("M72 M78 M81 M83 terminate and kill fail with the reason where they are not possible", async () => {
    expect(await errorOf(manager(bus, "TerminateMachine", "s", ".host"))).toBe("NotSupported: Operation not supported");
    expect(await errorOf(manager(bus, "KillMachine", "ssi", ".host", "all", 15))).toBe(
      "NotSupported: Operation not supported",
    );
    const kill = (whom: string, signal: number) => errorOf(manager(bus, "KillMachine", "ssi", "web-1.a", whom, signal));
    expect(await kill("foo", 15)).toBe("InvalidArgs: Invalid kill parameter 'foo'");
    for (const signal of [0, 65, 99, -1])
      expect(await kill("all", signal)).toBe(`InvalidArgs: Invalid signal ${signal}`);
  });

  test('M82 an empty "whom" means all: every process of the scope gets the signal', async () => {
    const leader = await daemon.leader();
    await register(bus, "killed", leader, { create: true });
    const other = await daemon.leader();
    attachProcess(cgroupOfProcess(leader), other);
    await manager(bus, "KillMachine", "ssi", "killed", "", 9);
    await gone("killed");
    for (const pid of [leader, other]) expect(() => process.kill(pid, 0)).toThrow();
  });

  test("M84 M86 a machine ends with its leader", async () => {
    const leader = await daemon.leader();
    await register(bus, "mortal", leader);
    process.kill(leader, "SIGKILL");
    await gone("mortal");
    expect(readdirSync(join(daemon.runtime, "machines")).join()).not.toContain("mortal");
  });

  test("M73 M74 terminating ends the scope, and can be repeated", async () => {
    const leader = await daemon.leader();
    await register(bus, "ended", leader, { create: true });
    await manager(bus, "TerminateMachine", "s", "ended");
    await manager(bus, "TerminateMachine", "s", "ended").catch((error) => expect(String(error)).toContain("known"));
    await gone("ended");
    await waitFor(() => expect(() => process.kill(leader, 0)).toThrow(), "the leader's end");
  });

  test("M96 M97 M98 M100 M101 M103 M104 addresses, OS release and id map are errors for a class or network without them", async () => {
    expect(await errorOf(manager(bus, "GetMachineAddresses", "s", "web-1.a"))).toBe(
      "org.freedesktop.machine1.NoPrivateNetworking: Machine web-1.a does not use private networking",
    );
    await register(bus, "vm1", await daemon.leader(), { class: "vm" });
    const ofVm = (member: string) => errorOf(manager(bus, member, "s", "vm1"));
    expect(await ofVm("GetMachineAddresses")).toBe(
      "NotSupported: Requesting IP address data is only supported on container machines.",
    );
    expect(await ofVm("GetMachineOSRelease")).toBe(
      "NotSupported: Requesting OS release data is only supported on container machines.",
    );
    expect(await ofVm("GetMachineUIDShift")).toBe(
      "NotSupported: UID/GID shift may only be determined for container machines.",
    );
    expect(await ofVm("GetMachineSSHInfo")).toContain("FileNotFound");
    await register(bus, "net1", await daemon.leader("--net"));
    expect(await manager(bus, "GetMachineAddresses", "s", "net1")).toEqual([[]]);
    expect(await manager(bus, "GetMachineUIDShift", "s", ".host")).toEqual([0]);
    const [fields] = (await manager(bus, "GetMachineOSRelease", "s", "web-1.a")) as [Map<string, string>];
    expect(fields.get("ID")).toBe(parseEnvFile(readFileSync("/etc/os-release", "utf8")).get("ID") as string);
  });

  test("M105 M133 M134 M135 M136 ids are mapped by the map of a container, and errors without a map", async () => {
    const map = (member: string, ...args: unknown[]) =>
      errorOf(manager(bus, member, args.length === 2 ? "su" : "u", ...args));
    expect(await map("MapFromMachineUser", ".host", 0)).toBe("InvalidArgs: Not supported for non-container machines.");
    expect(await map("MapFromMachineUser", "vm1", 0)).toBe("InvalidArgs: Not supported for non-container machines.");
    expect(await map("MapFromMachineUser", "web-1.a", 0xffff_ffff)).toBe("InvalidArgs: Invalid user ID 4294967295");
    expect(await map("MapToMachineUser", 0)).toBe(
      "org.freedesktop.machine1.NoSuchUserMapping: User 0 belongs to host UID range",
    );
    expect(await map("MapToMachineGroup", 5)).toBe(
      "org.freedesktop.machine1.NoSuchGroupMapping: Group 5 belongs to host GID range",
    );
    expect(await map("MapToMachineGroup", 70_000)).toContain("No matching group mapping for 70000.");
    await register(bus, "user1", await daemon.leader("--user", "--map-root-user"));
    expect(await map("MapFromMachineGroup", "user1", 70_000)).toBe(
      "org.freedesktop.machine1.NoSuchUserMapping: Machine 'user1' has no matching group mappings.",
    );
    expect(await errorOf(manager(bus, "GetMachineUIDShift", "s", "user1"))).toBe(
      "NotSupported: Machine user1 uses a complex UID/GID mapping, cannot determine shift",
    );
  });

  test("M87 M88 M89 M90 M91 M92 V62 after a kill the daemon restores every machine, and ignores invalid files", async () => {
    const before = await getProperty(bus, "/org/freedesktop/machine1/machine/web_2d1_2ea", MACHINE, "Timestamp");
    const dead = await daemon.leader();
    await register(bus, "dead", dead);
    await daemon.kill("SIGKILL");
    process.kill(dead, "SIGKILL");
    const directory = join(daemon.runtime, "machines");
    const text = readFileSync(join(directory, "web-1.a"), "utf8");
    writeFileSync(join(directory, "renamed"), text);
    writeFileSync(join(directory, "b_d"), text.replace("NAME=web-1.a", "NAME=b_d"));
    writeFileSync(join(directory, "empty"), "");
    // In the format of 252: no UID, no pidfd, values with blanks are not quoted.
    const oldLeader = await daemon.leader();
    const times = `REALTIME=1795350833254653\nMONOTONIC=${monotonicUsec()}\n`;
    const old = `NAME=old\nSERVICE=my svc\nROOT=/tmp/ro ot\nCLASS=vm\n${times}`;
    writeFileSync(
      join(directory, "old"),
      `# This is private data. Do not parse.\n${old}LEADER=${oldLeader}\nNETIF=1 7\n`,
    );
    const { ino } = statSync(join(directory, "web-1.a"));
    await daemon.run();
    bus = await daemon.bus();
    expect((await names()).sort()).toEqual([".host", "net1", "old", "user1", "vm1", "web-1.a"]);
    const oldPath = "/org/freedesktop/machine1/machine/old";
    expect(await getProperty(bus, oldPath, MACHINE, "RootDirectory")).toBe("/tmp/ro ot");
    expect(await getProperty(bus, oldPath, MACHINE, "Timestamp")).toBe(1_795_350_833_254_653n);
    expect(await getProperty(bus, oldPath, MACHINE, "NetworkInterfaces")).toEqual([1, 7]);
    expect(readdirSync(directory)).not.toContain("dead");
    // Only the file of the older release is written again: it lacks the number of the leader's pidfd.
    expect(statSync(join(directory, "web-1.a")).ino).toBe(ino);
    expect(readFileSync(join(directory, "old"), "utf8")).toMatch(/^LEADER_PIDFDID=\d+$/m);
    const after = await getProperty(bus, "/org/freedesktop/machine1/machine/web_2d1_2ea", MACHINE, "Timestamp");
    expect(after).toBe(before);
    expect(
      await getProperty(bus, "/org/freedesktop/machine1/machine/web_2d1_2ea", MACHINE, "NetworkInterfaces"),
    ).toEqual([1, 7]);
  });
});
