// The Varlink sockets of a daemon with machines: io.systemd.Machine, UserDatabase, Resolve.Hook, introspection.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { VarlinkClient } from "../../src/ipc/varlink/client.ts";
import { connectVarlink } from "../../src/ipc/varlink/connect.ts";
import { isRoot, needsRoot, TestDaemon } from "../lib/daemon.ts";
import { waitFor } from "../lib/wait-for.ts";

const MACHINE = "io.systemd.Machine";
const USERDB = "io.systemd.UserDatabase";
const HOOK = "io.systemd.Resolve.Hook";
const SHIFT = 524_288;

async function failure(call: Promise<unknown>): Promise<string> {
  try {
    await call;
  } catch (error) {
    const { id, parameters } = error as { id: string; parameters: Record<string, unknown> };
    return `${id.replace("org.varlink.service.", "")} ${JSON.stringify(parameters)}`;
  }
  throw new Error("the call succeeded");
}

async function all(replies: AsyncIterable<Record<string, unknown>>): Promise<Record<string, unknown>[]> {
  const list: Record<string, unknown>[] = [];
  for await (const reply of replies) list.push(reply);
  return list;
}

describe.skipIf(!isRoot)(`Varlink${needsRoot}`, () => {
  let daemon: TestDaemon;
  let machine: VarlinkClient;
  let userdb: VarlinkClient;
  let hook: VarlinkClient;
  let inner: number;
  let images: string;
  const clients: VarlinkClient[] = [];

  const connect = async (path: string) => {
    const client = await connectVarlink(join(daemon.runtime, path));
    clients.push(client);
    return client;
  };

  beforeAll(async () => {
    images = mkdtempSync(join(tmpdir(), "machined-images-"));
    const tree = join(images, "var/lib/machines/tree");
    mkdirSync(join(tree, "etc"), { recursive: true });
    mkdirSync(join(tree, "usr"));
    writeFileSync(join(tree, "etc/hostname"), "tree-host\n");
    writeFileSync(join(tree, "etc/os-release"), "ID=tree\n");
    daemon = await TestDaemon.start({ MACHINED_IMAGE_ROOT: images });
    machine = await connect("machine/io.systemd.Machine");
    userdb = await connect("userdb/io.systemd.Machine");
    hook = await connect("resolve.hook/io.systemd.Machine");
    inner = await daemon.leader("--user", "--net");
    for (const kind of ["uid_map", "gid_map"]) {
      writeFileSync(`/proc/${inner}/${kind}`, `0 ${SHIFT} 1000\n1000 ${SHIFT + 100_000} 64536\n`);
    }
    const setup =
      "ip link set lo up; ip link add h0 type veth peer name h1; ip link set h0 up; ip link set h1 up; " +
      "ip addr add 10.77.0.2/24 dev h0; ip addr add fd77::2/64 dev h0 nodad";
    await Bun.spawn(["nsenter", "-t", String(inner), "-n", "sh", "-c", setup], { stderr: "ignore" }).exited;
    await machine.call(`${MACHINE}.Register`, {
      name: "in-ner",
      class: "container",
      leader: inner,
      allocateUnit: true,
    });
  });
  afterAll(async () => {
    for (const client of clients) client.close();
    await daemon[Symbol.asyncDispose]();
    rmSync(images, { recursive: true });
  });

  test("M173 a name can be registered once", async () => {
    const again = machine.call(`${MACHINE}.Register`, { name: "in-ner", class: "vm", leader: inner });
    expect(await failure(again)).toBe("io.systemd.Machine.MachineExists {}");
  });

  test("the supervisor is the caller, and a supervisor in Register's parameters is ignored", async () => {
    const leader = await daemon.leader();
    const said = { supervisor: inner, supervisorProcessId: { pid: inner } };
    await machine.call(`${MACHINE}.Register`, {
      name: "said",
      class: "container",
      leader,
      allocateUnit: true,
      ...said,
    });
    const { supervisor } = await machine.call(`${MACHINE}.List`, { name: "said" });
    expect((supervisor as { pid: number }).pid).toBe(process.pid);
    await machine.call(`${MACHINE}.Unregister`, { name: "said" });
  });

  test("V43 V44 M172 List describes one machine, or all with more", async () => {
    const one = await machine.call(`${MACHINE}.List`, { name: "in-ner" });
    expect(Object.keys(one).join(" ")).toBe("name class unit leader supervisor timestamp UID");
    expect((one["leader"] as { pid: number }).pid).toBe(inner);
    const byPid = await machine.call(`${MACHINE}.List`, { pid: { pid: inner } });
    expect(byPid["name"]).toBe("in-ner");
    const listed = await all(machine.callMore(`${MACHINE}.List`));
    expect(listed.map(({ name }) => name)).toEqual([".host", "in-ner"]);
    expect(await failure(machine.call(`${MACHINE}.List`))).toBe("ExpectedMore {}");
    expect(await failure(machine.call(`${MACHINE}.List`, { name: ".host", pid: inner }))).toBe(
      "io.systemd.Machine.NoSuchMachine {}",
    );
  });

  test("List with metadata has addresses and OS release; a missing value is an error, or left out with 'graceful'", async () => {
    const one = await machine.call(`${MACHINE}.List`, { name: "in-ner", acquireMetadata: "graceful" });
    expect((one["addresses"] as { address: number[] }[])[0]?.address).toEqual([10, 77, 0, 2]);
    expect((one["OSRelease"] as string[]).join()).toContain("ID=");
    expect(one["UIDShift"]).toBeUndefined();
    expect(await failure(machine.call(`${MACHINE}.List`, { name: "in-ner", acquireMetadata: "yes" }))).toBe(
      "io.systemd.Machine.NoUIDShift {}",
    );
  });

  test("an empty destination is no path", async () => {
    for (const method of ["CopyTo", "CopyFrom", "BindMount"]) {
      const paths = { source: "/nosuch", destination: "" };
      expect(await failure(machine.call(`${MACHINE}.${method}`, { name: "in-ner", ...paths }))).toBe(
        'InvalidParameter {"parameter":"destination"}',
      );
    }
  });

  test("MapFrom and MapTo use every line of the map", async () => {
    const out = await machine.call(`${MACHINE}.MapFrom`, { name: "in-ner", uid: 5, gid: 1000 });
    expect(out).toEqual({ uid: SHIFT + 5, gid: SHIFT + 100_000 });
    expect(await machine.call(`${MACHINE}.MapFrom`, { name: "in-ner" })).toEqual({});
    const back = await machine.call(`${MACHINE}.MapTo`, { uid: SHIFT + 100_007 });
    expect(back).toEqual({ uid: 1007, machineName: "in-ner" });
    expect(await failure(machine.call(`${MACHINE}.MapTo`, { uid: 5 }))).toContain("UserInHostRange");
    expect(await failure(machine.call(`${MACHINE}.MapTo`, { gid: 5 }))).toContain("GroupInHostRange");
    for (const id of [-1, 65_535, 2 ** 32 - 1, 2 ** 32]) {
      const uid = 'InvalidParameter {"parameter":"uid"}';
      expect(await failure(machine.call(`${MACHINE}.MapTo`, { uid: id }))).toBe(uid);
      expect(await failure(machine.call(`${MACHINE}.MapFrom`, { name: "in-ner", uid: id }))).toBe(uid);
    }
    expect(await failure(machine.call(`${MACHINE}.MapTo`))).toContain("NoSuchMachine");
    expect(await failure(machine.call(`${MACHINE}.MapFrom`, { name: ".host", uid: 1 }))).toContain("NotSupported");
    expect(await failure(machine.call(`${MACHINE}.MapFrom`, { name: "in-ner", gid: 70_000 }))).toContain("NoSuchGroup");
  });

  test("Kill refuses numbers that are no signals", async () => {
    for (const signal of [0, 999]) {
      expect(await failure(machine.call(`${MACHINE}.Kill`, { name: "in-ner", whom: "leader", signal }))).toBe(
        'InvalidParameter {"parameter":"signal"}',
      );
    }
    await machine.call(`${MACHINE}.Kill`, { name: "in-ner", whom: "leader", signal: 18 });
  });

  test("V41 V42 the service describes itself", async () => {
    const info = await machine.call("org.varlink.service.GetInfo");
    const interfaces = info["interfaces"] as string[];
    expect(interfaces).toEqual([...interfaces].sort());
    expect(interfaces).toContain(MACHINE);
    const second = await connect("machine/io.systemd.MachineImage");
    expect(await second.call("org.varlink.service.GetInfo")).toEqual(info);
    for (const name of interfaces) {
      const { description } = await machine.call("org.varlink.service.GetInterfaceDescription", { interface: name });
      expect(description).toContain(`interface ${name}\n`);
    }
    const { description } = await machine.call("org.varlink.service.GetInterfaceDescription", { interface: MACHINE });
    expect(description).toContain("# [Supports 'more' flag]\nmethod List(");
    expect(await failure(machine.call("org.varlink.service.GetInterfaceDescription", { interface: "x.y" }))).toBe(
      'InterfaceNotFound {"interface":"x.y"}',
    );
    expect(await failure(machine.call("org.varlink.service.GetInfo", { x: 1 }))).toBe(
      'InvalidParameter {"parameter":"x"}',
    );
  });

  test("V45 M174 images can be listed, cloned, changed, removed and cleaned over Varlink", async () => {
    const IMAGE = "io.systemd.MachineImage";
    const call = (method: string, parameters: object = {}) => machine.call(`${IMAGE}.${method}`, parameters);
    expect(await failure(call("List"))).toBe("ExpectedMore {}");
    expect(await failure(call("CleanPool", { mode: "hidden" }))).toBe("ExpectedMore {}");
    expect(await failure(call("List", { name: "nosuch" }))).toBe("io.systemd.MachineImage.NoSuchImage {}");
    expect(await failure(call("List", { name: "a/b" }))).toBe('InvalidParameter {"parameter":"name"}');
    expect(await failure(all(machine.callMore(`${IMAGE}.CleanPool`, { mode: "hidden" })))).toContain("NoSuchImage");
    await call("Clone", { name: "tree", newName: "clone" });
    const [first] = await all(machine.callMore(`${IMAGE}.List`)).then((list) =>
      list.filter(({ name }) => name === "clone"),
    );
    expect(first).toMatchObject({ name: "clone", type: "directory", class: "machine", readOnly: false });
    await call("Update", { name: "clone", newName: "renamed", readOnly: true });
    expect(await call("List", { name: "renamed", acquireMetadata: "yes" })).toMatchObject({
      readOnly: true,
      hostname: "tree-host",
      OSRelease: ["ID=tree"],
    });
    expect(await failure(call("Update", { name: "renamed", limit: -1 }))).toContain("InvalidParameter");
    await call("Remove", { name: "renamed" });
    await call("Clone", { name: "tree", newName: ".hidden" });
    expect(await all(machine.callMore(`${IMAGE}.CleanPool`, { mode: "hidden" }))).toEqual([{ name: ".hidden" }]);
  });

  const user = (query: object) => userdb.call(`${USERDB}.GetUserRecord`, { service: MACHINE, ...query });
  const group = (query: object) => userdb.call(`${USERDB}.GetGroupRecord`, { service: MACHINE, ...query });

  test("M138 M139 V13 V14 V19 V21 V28 users and groups have records, by name and by number", async () => {
    const record = {
      userName: "vu-in-ner-7",
      uid: SHIFT + 7,
      gid: 65534,
      realName: "UID 7 of Container in-ner",
      homeDirectory: "/",
      shell: "/usr/sbin/nologin",
      locked: true,
      service: MACHINE,
      disposition: "container",
    };
    expect(await user({ userName: "vu-in-ner-7" })).toEqual({ record });
    expect(await user({ uid: SHIFT + 7, userName: "vu-in-ner-7" })).toEqual({ record });
    expect(((await user({ uid: SHIFT + 100_000 }))["record"] as { userName: string }).userName).toBe("vu-in-ner-1000");
    expect(((await group({ gid: SHIFT }))["record"] as { groupName: string }).groupName).toBe("vg-in-ner-0");
    expect(((await group({ groupName: "vg-in-ner-3" }))["record"] as { gid: number }).gid).toBe(SHIFT + 3);
  });

  test("V15 V16 V20 V24 V25 V26 V27 V29 M140 M141 M142 M143 a query without a record fails with the reason", async () => {
    for (const query of [
      ...[{ uid: 0 }, { uid: 65_534 }, { uid: SHIFT + 50_000 }, { userName: "root" }, { userName: "vu-in-ner-00" }],
      ...[{ userName: "vu-in-ner-65535" }, { userName: "vu-nosuch-0" }, { userName: "vg-in-ner-0" }],
    ]) {
      expect(`${JSON.stringify(query)} ${await failure(user(query))}`).toContain("NoRecordFound {}");
    }
    for (const uid of [65_535, 4_294_967_295, -1, "0"]) {
      expect(await failure(user({ uid }))).toBe('InvalidParameter {"parameter":"uid"}');
    }
    expect(await failure(user({ userName: "a b" }))).toContain("NoRecordFound");
    for (const userName of [" a", "a ", "a:b", "a\tb", ""]) {
      expect(await failure(user({ userName }))).toBe('InvalidParameter {"parameter":"userName"}');
    }
    expect(await failure(user({ userName: "a b/c" }))).toBe('InvalidParameter {"parameter":"userName"}');
    expect(await failure(user({ uidMin: 0 }))).toBe('InvalidParameter {"parameter":"uidMin"}');
    expect(await failure(user({ service: "io.systemd.Other", uid: 0 }))).toContain("BadService");
    expect(await failure(userdb.call(`${USERDB}.GetUserRecord`, { uid: 0 }))).toContain('"service"');
    expect(await failure(user({}))).toContain("EnumerationNotSupported");
    expect(await failure(all(userdb.callMore(`${USERDB}.GetGroupRecord`, { service: MACHINE })))).toContain(
      "EnumerationNotSupported",
    );
    expect(await failure(user({ uid: SHIFT, userName: "vu-in-ner-1" }))).toContain("ConflictingRecordFound");
    expect(await failure(userdb.call(`${USERDB}.GetMemberships`, { service: MACHINE }))).toContain("NoRecordFound");
    expect(await failure(userdb.call(`${USERDB}.GetMemberships`, { service: MACHINE, userName: "" }))).toBe(
      'InvalidParameter {"parameter":"userName"}',
    );
  });

  test("V17 V18 V22 V23 V30 machines without a map, or with an unsuitable name or map, have no user names", async () => {
    const query = async (name: string, leader: number, kind = "container") => {
      await machine.call(`${MACHINE}.Register`, { name, class: kind, leader, allocateUnit: true });
      const answer = await failure(user({ userName: `vu-${name}-0` }));
      await machine.call(`${MACHINE}.Unregister`, { name });
      return answer;
    };
    const mapped = async () => {
      const leader = await daemon.leader("--user");
      for (const kind of ["uid_map", "gid_map"]) writeFileSync(`/proc/${leader}/${kind}`, "0 1048576 65536");
      return leader;
    };
    expect(await query("dotted.name", await mapped())).toContain("NoRecordFound");
    expect(await query("a-name-that-is-a-good-deal-too-long", await mapped())).toContain("NoRecordFound");
    expect(await query("vm", await mapped(), "vm")).toContain("NoRecordFound");
    expect(await query("unmapped", await daemon.leader())).toContain("NoRecordFound");
    expect(await failure(user({ uid: 1_048_576 }))).toContain("NoRecordFound");
  });

  test("the last id of a container's range means none: it is mapped neither to the host nor from it", async () => {
    const leader = await daemon.leader("--user");
    for (const kind of ["uid_map", "gid_map"]) writeFileSync(`/proc/${leader}/${kind}`, "0 2097152 65536");
    await machine.call(`${MACHINE}.Register`, { name: "range", class: "container", leader, allocateUnit: true });
    const last = 2_097_152 + 65_534;
    expect(await machine.call(`${MACHINE}.MapTo`, { uid: last })).toEqual({ uid: 65_534, machineName: "range" });
    expect(await failure(machine.call(`${MACHINE}.MapTo`, { uid: last + 1 }))).toBe(
      'InvalidParameter {"parameter":"uid"}',
    );
    expect(await failure(machine.call(`${MACHINE}.MapFrom`, { name: "range", uid: 65_535 }))).toContain(
      "InvalidParameter",
    );
    await machine.call(`${MACHINE}.Unregister`, { name: "range" });
  });

  const resolve = (name: string, type: number, more: object = {}) =>
    hook.call(`${HOOK}.ResolveRecord`, { question: [{ key: { class: 1, type, name, ...more } }] });

  test("V55 the hook resolves the exact name of a machine, and no names below it", async () => {
    const a = (await resolve("in-ner", 1)) as { rcode: number; answer: { rr: { address: number[] }; raw: string }[] };
    expect(a.rcode).toBe(0);
    expect(a.answer.map(({ rr }) => rr.address)).toEqual([[10, 77, 0, 2]]);
    expect(Buffer.from(a.answer[0]?.raw ?? "", "base64").toString("hex")).toBe(
      "06696e2d6e657200000100010000000000040a4d0002",
    );
    const aaaa = (await resolve("in-ner", 28)) as { answer: { rr: { address: number[] } }[] };
    expect(aaaa.answer[0]?.rr.address.slice(0, 2)).toEqual([0xfd, 0x77]);
    // Clients without 64-bit integers encode integers as text.
    expect(await resolve("in-ner", 1, { class: "1", type: "1" })).toEqual(a);
    expect(await resolve("in-ner", 16)).toEqual({ rcode: 0, answer: [] });
    for (const name of ["www.in-ner", "example.com", "IN-NER", "in-ner."]) expect(await resolve(name, 1)).toEqual({});
    expect(await failure(hook.call(`${HOOK}.ResolveRecord`, { question: [] }))).toBe(
      'InvalidParameter {"parameter":"question"}',
    );
  });

  test("the hook does not answer for a machine that shares the host's network", async () => {
    const leader = await daemon.leader();
    await machine.call(`${MACHINE}.Register`, { name: "shared", class: "container", leader, allocateUnit: true });
    expect(await resolve("shared", 1)).toEqual({});
    await machine.call(`${MACHINE}.Unregister`, { name: "shared" });
  });

  test("M175 V54 the hook's filter is updated when machines start and end", async () => {
    const subscriber = await connect("resolve.hook/io.systemd.Machine");
    const seen: string[] = [];
    void (async () => {
      for await (const { filterDomains } of subscriber.callMore(`${HOOK}.QueryFilter`)) {
        seen.push((filterDomains as string[]).join("+"));
      }
    })().catch(() => {});
    await waitFor(() => expect(seen).toEqual(["in-ner"]), "the first filter");
    const leader = await daemon.leader();
    await machine.call(`${MACHINE}.Register`, { name: "second", class: "container", leader, allocateUnit: true });
    await machine.call(`${MACHINE}.Unregister`, { name: "second" });
    await waitFor(() => expect(seen).toEqual(["in-ner", "in-ner+second", "in-ner"]), "the changes");
    expect(await hook.call(`${HOOK}.QueryFilter`)).toEqual({ filterDomains: ["in-ner"], filterLabelsMax: 1 });
  });

  test("V46 integers beyond 2^53 are exact in both directions, and the id of a pidfd identifies one process", async () => {
    const big = 18_446_744_073_709_551_615n;
    const { leader } = (await machine.call(`${MACHINE}.List`, { name: "in-ner" })) as { leader: { pidfdId?: bigint } };
    const call = machine.call(`${MACHINE}.List`, { pid: { pid: inner, pidfdId: leader.pidfdId } });
    expect((await call)["name"]).toBe("in-ner");
    if (leader.pidfdId === undefined) return; // pidfds have no ids before Linux 6.9
    for (const pidfdId of [big, BigInt(leader.pidfdId) + 1n, String(big)]) {
      const other = failure(machine.call(`${MACHINE}.List`, { pid: { pid: inner, pidfdId } }));
      expect(await other).toStartWith("io.systemd.Machine.NoSuchMachine");
    }
  });

  test("a process of another boot is none of this one", async () => {
    const { leader } = (await machine.call(`${MACHINE}.List`, { name: "in-ner" })) as { leader: { bootId: string } };
    const list = (bootId: string) => machine.call(`${MACHINE}.List`, { pid: { pid: inner, bootId } });
    const uuid = leader.bootId.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
    for (const same of [leader.bootId, uuid, "0".repeat(32)]) expect((await list(same))["name"]).toBe("in-ner");
    const other = "7".repeat(32);
    expect(await failure(list(other))).toStartWith("io.systemd.Machine.NoSuchMachine");
    expect(await failure(list("x"))).toContain("InvalidParameter");
    const leaderProcessId = { pid: await daemon.leader(), bootId: other };
    const registration = machine.call(`${MACHINE}.Register`, {
      name: "of-before",
      class: "container",
      leaderProcessId,
    });
    expect(await failure(registration)).toContain("ESRCH");
  });

  test("V50 only root and the daemon's own user can set the log level", async () => {
    await machine.call("io.systemd.service.SetLogLevel", { level: 7 });
    expect(await machine.call("io.systemd.service.GetLogLevel")).toEqual({ level: 7 });
    await machine.call("io.systemd.service.SetLogLevel", { level: 6 });
    expect(await failure(machine.call("io.systemd.service.SetLogLevel", { level: 9 }))).toContain("InvalidParameter");
    const path = join(daemon.runtime, "machine/io.systemd.Machine");
    // As another user: the daemon reads the caller's user from the kernel.
    const code = `process.setgroups([]); process.setgid(65534); process.setuid(65534);
      await Bun.connect({ unix: ${JSON.stringify(path)}, socket: {
        open: (s) => void s.write('{"method":"io.systemd.service.SetLogLevel","parameters":{"level":7}}\\0'),
        data: (s, bytes) => { console.log(bytes.toString()); s.end(); } } });`;
    Bun.spawnSync(["chmod", "755", daemon.runtime]);
    const other = Bun.spawnSync([process.execPath, "-e", code]);
    expect(other.stdout.toString()).toContain("org.varlink.service.PermissionDenied");
  });

  test("V53 V56 a daemon replaces the sockets of an earlier one that was killed", async () => {
    await daemon.kill("SIGKILL");
    await daemon.run();
    const again = await connect("resolve.hook/io.systemd.Machine");
    expect(await again.call(`${HOOK}.QueryFilter`)).toEqual({ filterDomains: ["in-ner"], filterLabelsMax: 1 });
  });
});
