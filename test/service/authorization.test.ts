// Which user may do what, and on which object. While polkit is asked for a permission, a name can change to another
// machine or image, to which the permission must not apply. Each method of the tables is called, on both transports; a
// method that is in none of the lists below fails the test.
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { chmodSync, chownSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Subprocess } from "bun";
import { Image, Machine, Manager } from "../../src/api/machine1.ts";
import { IoSystemdMachine } from "../../src/api/varlink/io-systemd-machine.ts";
import { IoSystemdMachineImage } from "../../src/api/varlink/io-systemd-machine-image.ts";
import type { Variant } from "../../src/base/variant.ts";
import { VarlinkClient } from "../../src/ipc/varlink/client.ts";
import { attachProcess, cgroupDirectory, createCgroup, removeCgroup } from "../../src/kernel/cgroup/cgroup.ts";
import type { Fd } from "../../src/kernel/file/fd.ts";
import { withIdentity } from "../../src/kernel/process/namespace.ts";
import { PidRef } from "../../src/kernel/process/pidref.ts";
import { processStartTicks } from "../../src/kernel/process/process-file.ts";
import { SocketStream } from "../../src/kernel/socket/stream.ts";
import { connectUnix } from "../../src/kernel/socket/unix.ts";
import { errorOf, getProperty, isRoot, manager, needsRoot, register, TestDaemon } from "../lib/daemon.ts";
import { PlayedBroker } from "../lib/played-broker.ts";
import { waitFor } from "../lib/wait-for.ts";

const MACHINED = join(import.meta.dir, "../../src/machined");
const NAME = "org.freedesktop.machine1";
const NOBODY = 65534;
const MAX = 0xffff_ffff_ffff_ffffn;
const SIGCONT = 18;

type Arguments = readonly [signature: string, ...body: unknown[]];

const SHELL: readonly unknown[] = ["root", "/bin/true", ["true"], []];

/** Methods that act on one machine, with arguments with which each of them asks for permission. */
const MACHINE_CASES: Readonly<Record<string, Arguments>> = {
  UnregisterMachine: ["s", "web"],
  TerminateMachine: ["s", "web"],
  KillMachine: ["ssi", "web", "leader", 9],
  GetMachineOSRelease: ["s", "web"],
  OpenMachinePTY: ["s", "web"],
  OpenMachineLogin: ["s", "web"],
  OpenMachineShell: ["sssasas", "web", ...SHELL],
  OpenMachineRootDirectory: ["s", "web"],
  BindMountMachine: ["sssbb", "web", "/etc/hostname", "/mnt", true, true],
  CopyFromMachine: ["sss", "web", "/etc/hostname", "/nowhere/copy"],
  CopyToMachine: ["sss", "web", "/etc/hostname", "/nowhere/copy"],
  CopyFromMachineWithFlags: ["ssst", "web", "/etc/hostname", "/nowhere/copy", 0n],
  CopyToMachineWithFlags: ["ssst", "web", "/etc/hostname", "/nowhere/copy", 0n],
};
const MACHINE_OWN_CASES: Readonly<Record<string, Arguments>> = {
  Terminate: [""],
  Kill: ["si", "leader", 9],
  GetOSRelease: [""],
  OpenPTY: [""],
  OpenLogin: [""],
  OpenShell: ["ssasas", ...SHELL],
  OpenRootDirectory: [""],
  BindMount: ["ssbb", "/etc/hostname", "/mnt", true, true],
  CopyFrom: ["ss", "/etc/hostname", "/nowhere/copy"],
  CopyTo: ["ss", "/etc/hostname", "/nowhere/copy"],
  CopyFromWithFlags: ["sst", "/etc/hostname", "/nowhere/copy", 0n],
  CopyToWithFlags: ["sst", "/etc/hostname", "/nowhere/copy", 0n],
};
const IMAGE_CASES: Readonly<Record<string, Arguments>> = {
  RemoveImage: ["s", "tree"],
  RenameImage: ["ss", "tree", "tree2"],
  CloneImage: ["ssb", "tree", "tree2", false],
  MarkImageReadOnly: ["sb", "tree", true],
  SetImageLimit: ["st", "tree", MAX],
};
const IMAGE_OWN_CASES: Readonly<Record<string, Arguments>> = {
  Remove: [""],
  Rename: ["s", "tree2"],
  Clone: ["sb", "tree2", false],
  MarkReadOnly: ["b", true],
  SetLimit: ["t", MAX],
};
/** Methods that everybody may call, that make machines, or that concern no single machine or image. */
const OTHERS = new Set([
  ..."GetMachine GetImage GetMachineByPID ListMachines ListImages GetMachineAddresses GetMachineSSHInfo".split(" "),
  ..."GetMachineUIDShift MapFromMachineUser MapFromMachineGroup MapToMachineUser MapToMachineGroup".split(" "),
  ..."GetImageHostname GetImageMachineID GetImageMachineInfo GetImageOSRelease SetPoolLimit CleanPool".split(" "),
  ..."CreateMachine CreateMachineWithNetwork CreateMachineEx RegisterMachine RegisterMachineWithNetwork".split(" "),
  ..."RegisterMachineEx GetAddresses GetSSHInfo GetUIDShift GetHostname GetMachineID GetMachineInfo".split(" "),
]);
const IMAGE_FREE = new Set(["GetOSRelease"]);

/** Methods that the owner of a machine may call without a question to polkit. */
const OWNERS = /^(Unregister|Terminate|Kill|Open\w*(PTY|Login|Shell))/;

const VARLINK_MACHINE_CASES: Readonly<Record<string, object>> = {
  Unregister: {},
  Terminate: {},
  Kill: { whom: "leader", signal: 9 },
  List: { acquireMetadata: "graceful" },
  Open: { mode: "tty" },
  BindMount: { source: "/etc/hostname", destination: "/mnt" },
  CopyFrom: { source: "/etc/hostname", destination: "/nowhere/copy" },
  CopyTo: { source: "/etc/hostname", destination: "/nowhere/copy" },
  OpenRootDirectory: {},
};
const VARLINK_MODES: Readonly<Record<string, object>> = {
  login: { mode: "login" },
  shell: { mode: "shell", user: "root", path: "/bin/true" },
};
const VARLINK_IMAGE_CASES: Readonly<Record<string, object>> = {
  List: { acquireMetadata: "graceful" },
  Update: { readOnly: true },
  Clone: { newName: "tree2" },
  Remove: {},
};
const VARLINK_OTHERS = new Set(["Register", "MapFrom", "MapTo", "SetPoolLimit", "CleanPool"]);

describe("the lists of this test", () => {
  const tables: readonly (readonly [string, object, readonly object[], ReadonlySet<string>])[] = [
    ["Manager", Manager.methods, [MACHINE_CASES, IMAGE_CASES], OTHERS],
    ["Machine", Machine.methods, [MACHINE_OWN_CASES], OTHERS],
    ["Image", Image.methods, [IMAGE_OWN_CASES], new Set([...OTHERS, ...IMAGE_FREE])],
    ["io.systemd.Machine", IoSystemdMachine.methods, [VARLINK_MACHINE_CASES], VARLINK_OTHERS],
    ["io.systemd.MachineImage", IoSystemdMachineImage.methods, [VARLINK_IMAGE_CASES], VARLINK_OTHERS],
  ];
  for (const [name, methods, cases, others] of tables) {
    test(`name every method of ${name}`, () => {
      const known = cases.flatMap((some) => Object.keys(some));
      expect(Object.keys(methods).filter((method) => !known.includes(method) && !others.has(method))).toEqual([]);
    });
  }
});

function descriptorOf(value: Variant | undefined): Fd {
  if (value?.signature !== "h") throw new Error("no descriptor");
  return value.value as Fd;
}

test("only perform() and the registration of machines call authorize(): all other methods are actions", async () => {
  const asking: string[] = [];
  for await (const file of new Bun.Glob("**/*.ts").scan(MACHINED)) {
    if (/\bauthorize\(/.test(await Bun.file(join(MACHINED, file)).text())) asking.push(file);
  }
  expect(asking.sort()).toEqual(["action/action.ts", "machines/register.ts"]);
});

describe.skipIf(!isRoot)(`a permission for one object is not used for another${needsRoot}`, () => {
  const root = mkdtempSync(join(tmpdir(), "machined-authority-"));
  const pool = join(root, "var/lib/machines");
  const broker = new PlayedBroker(join(root, "bus"));
  const leaders: Subprocess[] = [];
  let daemon: TestDaemon;
  let bus: Awaited<ReturnType<TestDaemon["bus"]>>;

  beforeAll(async () => {
    mkdirSync(pool, { recursive: true });
    daemon = await TestDaemon.start({
      DBUS_SYSTEM_BUS_ADDRESS: broker.address,
      MACHINED_REGISTER_POLICY: "polkit",
      MACHINED_SERVICE_MANAGER: "systemd",
      MACHINED_IMAGE_ROOT: root,
    });
    chmodSync(daemon.runtime, 0o755);
    bus = await daemon.bus();
    await broker.untilOwned(NAME);
  });
  afterAll(async () => {
    await daemon[Symbol.asyncDispose]();
    await broker[Symbol.asyncDispose]();
    for (const leader of leaders) leader.kill("SIGKILL");
    rmSync(root, { recursive: true, force: true });
  });

  beforeEach(() => manager(bus, "UnregisterMachine", "s", "web").catch(() => {}));

  /**
   * A process in a private user namespace, whose root has no privileges on the host: the user that made it may open
   * terminals in it.
   */
  async function newLeader(maker = NOBODY): Promise<number> {
    const as = ["setpriv", `--reuid=${maker}`, `--regid=${maker}`, "--clear-groups"];
    const command = [...as, "unshare", "--user", "sleep", "1000"];
    const child = Bun.spawn(command, { stdio: ["ignore", "ignore", "ignore"] });
    leaders.push(child);
    const { pid } = child;
    await waitFor(async () => expect(await Bun.file(`/proc/${pid}/comm`).text()).toBe("sleep\n"), "the leader");
    for (const kind of ["uid_map", "gid_map"]) writeFileSync(`/proc/${pid}/${kind}`, "0 524288 65536\n");
    return pid;
  }

  /** Registers "web" for the user, whom polkit treats as an administrator. */
  async function registerFor(uid: number, leader: number): Promise<void> {
    if (uid === 0) {
      await register(bus, "web", leader, { create: true });
      return;
    }
    broker.onQuestion = (question) => question.answer(true, { "polkit.result": "auth_admin" });
    const body = ["web", new Uint8Array(0), "test", "container", leader, "", []];
    await broker.call(broker.caller(uid), NAME, {
      ...{ path: "/org/freedesktop/machine1", interface: Manager.name, member: "CreateMachine" },
      ...{ signature: "sayssusa(sv)", body },
    });
  }

  /** Unregisters "web", and registers another machine of that name for root. */
  async function replaceMachine(): Promise<number> {
    await manager(bus, "UnregisterMachine", "s", "web");
    const leader = await newLeader();
    await registerFor(0, leader);
    return leader;
  }

  /**
   * Answers yes to a number of questions and no to all others: the answer to the first must not be used for the second.
   */
  function permit(count: number): void {
    broker.questions.length = 0;
    broker.onQuestion = (question) => question.answer(broker.questions.length <= count);
  }

  async function expectUntouched(leader: number): Promise<void> {
    const path = "/org/freedesktop/machine1/machine/web";
    expect(await getProperty(bus, path, Machine.name, "Leader")).toBe(leader);
    expect(await Bun.file(`/proc/${leader}/comm`).text()).toBe("sleep\n");
    await manager(bus, "UnregisterMachine", "s", "web");
  }

  function makeTree(): void {
    rmSync(join(pool, "tree2"), { recursive: true, force: true });
    rmSync(join(pool, "tree"), { recursive: true, force: true });
    mkdirSync(join(pool, "tree/etc"), { recursive: true });
  }

  /** Gives the name to another tree; the old one stays, so that its inode is not reused. */
  function replaceTree(): void {
    rmSync(join(root, "old"), { recursive: true, force: true });
    renameSync(join(pool, "tree"), join(root, "old"));
    mkdirSync(join(pool, "tree/etc"), { recursive: true });
  }

  /**
   * Calls as nobody; replaces the subject when the daemon asks the bus for the caller's credentials; returns the error.
   */
  async function callAndReplace(
    path: string,
    iface: string,
    member: string,
    [signature, ...body]: Arguments,
    replace: () => unknown,
  ): Promise<string> {
    // For the first machine, the owner needs no answer of polkit.
    permit(OWNERS.test(member) ? 0 : 1);
    broker.holdCredentials = true;
    const failure = errorOf(
      broker.call(broker.caller(NOBODY), NAME, { path, interface: iface, member, signature, body }),
    );
    await waitFor(() => {
      if (broker.held === 0) throw new Error("it has not");
    }, "the daemon to ask who calls");
    broker.holdCredentials = false;
    await replace();
    broker.release();
    return failure;
  }

  const machineCalls = [
    ...Object.entries(MACHINE_CASES).map((row) => ["/org/freedesktop/machine1", Manager.name, ...row] as const),
    ...Object.entries(MACHINE_OWN_CASES).map(
      (row) => ["/org/freedesktop/machine1/machine/web", Machine.name, ...row] as const,
    ),
  ];
  for (const [path, iface, member, args] of machineCalls) {
    test(`${iface}.${member}: the owner of the old machine cannot touch the new one`, async () => {
      await registerFor(NOBODY, await newLeader());
      let leader = 0;
      const failure = await callAndReplace(path, iface, member, args, async () => {
        leader = await replaceMachine();
      });
      expect(failure).toStartWith("AccessDenied");
      await expectUntouched(leader);
    });
  }

  test("the owner of a machine in a unit of others needs the permission to end it, but not to signal its leader", async () => {
    const slice = `/authorization-${process.pid}.slice`;
    const unit = `${slice}/job.service`;
    createCgroup(unit);
    const leader = await newLeader();
    try {
      attachProcess(unit, leader);
      broker.onQuestion = (question) => question.answer(true, { "polkit.result": "auth_admin" });
      const call = (member: string, signature: string, ...body: unknown[]) =>
        broker.call(broker.caller(NOBODY), NAME, {
          ...{ path: "/org/freedesktop/machine1", interface: Manager.name, member, signature, body },
        });
      await call("RegisterMachine", "sayssus", "web", new Uint8Array(0), "test", "container", leader, "");
      permit(0);
      expect(await errorOf(call("TerminateMachine", "s", "web"))).toStartWith("AccessDenied");
      expect(await errorOf(call("KillMachine", "ssi", "web", "all", SIGCONT))).toStartWith("AccessDenied");
      expect(broker.questions.map(({ action, details }) => [action, details.get("verb")])).toEqual([
        ["org.freedesktop.machine1.manage-machines", "terminate"],
        ["org.freedesktop.machine1.manage-machines", "kill"],
      ]);
      await call("KillMachine", "ssi", "web", "leader", SIGCONT);
      // Delegated to the user, who could end all processes in it without the daemon.
      chownSync(cgroupDirectory(unit), NOBODY, NOBODY);
      await call("KillMachine", "ssi", "web", "all", SIGCONT);
      await call("TerminateMachine", "s", "web");
      expect(broker.questions).toHaveLength(2);
      await call("UnregisterMachine", "s", "web");
    } finally {
      attachProcess("/", leader);
      await waitFor(() => removeCgroup(slice), "the group to be empty");
    }
  });

  test("the owner of a machine whose user namespace another user made needs the permission for a terminal in it", async () => {
    const open = () =>
      broker.call(broker.caller(NOBODY), NAME, {
        ...{ path: "/org/freedesktop/machine1", interface: Manager.name, member: "OpenMachinePTY" },
        ...{ signature: "s", body: ["web"] },
      });
    await registerFor(NOBODY, await newLeader(0));
    permit(0);
    expect(await errorOf(open())).toStartWith("AccessDenied");
    expect(broker.questions.map(({ action }) => action)).toEqual(["org.freedesktop.machine1.open-pty"]);
    await manager(bus, "UnregisterMachine", "s", "web");
    await registerFor(NOBODY, await newLeader());
    permit(0);
    const [terminal] = (await open()) as [Fd];
    terminal.close();
    expect(broker.questions).toEqual([]);
  });

  const imageCalls = [
    ...Object.entries(IMAGE_CASES).map((row) => ["/org/freedesktop/machine1", Manager.name, ...row] as const),
    ...Object.entries(IMAGE_OWN_CASES).map(
      (row) => ["/org/freedesktop/machine1/image/tree", Image.name, ...row] as const,
    ),
  ];
  for (const [path, iface, member, args] of imageCalls) {
    test(`${iface}.${member}: a permission for one image is not used for another`, async () => {
      makeTree();
      expect(await callAndReplace(path, iface, member, args, replaceTree)).toStartWith("AccessDenied");
      expect(broker.questions).toHaveLength(2);
      writeFileSync(join(pool, "tree/etc/still"), "here");
    });
  }

  /** The same over Varlink, where the caller is known at once: the subject is replaced while polkit is asked. */
  async function varlinkAndReplace(method: string, parameters: object, replace: () => unknown): Promise<string> {
    permit(1);
    const answer = broker.onQuestion;
    broker.onQuestion = () => {};
    const path = join(daemon.runtime, "machine/io.systemd.Machine");
    const socket = withIdentity({ uid: NOBODY, gid: NOBODY }, () => connectUnix(path));
    const client = new VarlinkClient((handlers) => new SocketStream(socket, handlers, { takesDescriptors: 8 }));
    try {
      const failure = client.call(method, parameters).then(
        () => "it succeeded",
        (error: { id?: string; message: string }) => error.id ?? error.message,
      );
      const question = await waitFor(() => {
        if (broker.questions[0] === undefined) throw new Error("it has not");
        return broker.questions[0];
      }, "the daemon to ask polkit");
      // The caller is identified by its pidfd, and by number and start time for a polkit without pidfds.
      const [kind, subject] = question.subject;
      expect([kind, subject.get("pid")?.value, subject.get("uid")?.value]).toEqual([
        "unix-process",
        process.pid,
        NOBODY,
      ]);
      expect(subject.get("start-time")?.value).toBe(processStartTicks(process.pid));
      using caller = PidRef.fromPidFd(descriptorOf(subject.get("pidfd")).duplicate());
      expect(caller.pid).toBe(process.pid);
      await replace();
      broker.onQuestion = answer;
      question.answer(true);
      return await failure;
    } finally {
      client.close();
    }
  }

  const varlinkCalls = [
    ...Object.entries(VARLINK_MACHINE_CASES),
    ...Object.entries(VARLINK_MODES).map(([, parameters]) => ["Open", parameters] as const),
  ];
  for (const [method, parameters] of varlinkCalls) {
    test(`io.systemd.Machine.${method} ${JSON.stringify(parameters)}: a permission for a machine is not used for its successor`, async () => {
      await registerFor(0, await newLeader());
      let leader = 0;
      const failure = await varlinkAndReplace(
        `io.systemd.Machine.${method}`,
        { name: "web", ...parameters },
        async () => {
          leader = await replaceMachine();
        },
      );
      expect(failure).toBe("org.varlink.service.PermissionDenied");
      expect(broker.questions).toHaveLength(2);
      await expectUntouched(leader);
    });
  }

  for (const [method, parameters] of Object.entries(VARLINK_IMAGE_CASES)) {
    test(`io.systemd.MachineImage.${method}: a permission for an image is not used for its successor`, async () => {
      makeTree();
      const failure = await varlinkAndReplace(
        `io.systemd.MachineImage.${method}`,
        { name: "tree", ...parameters },
        replaceTree,
      );
      expect(failure).toBe("org.varlink.service.PermissionDenied");
      expect(broker.questions).toHaveLength(2);
      writeFileSync(join(pool, "tree/etc/still"), "here");
    });
  }
});
