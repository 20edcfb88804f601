// What machinectl prints beyond the recordings: JSON, help, version, and errors when writing.
import { describe, expect, test } from "bun:test";
import { runMachinectl } from "../../src/cli/program/machinectl.ts";
import { OPTIONS } from "../../src/cli/program/options.ts";
import { VERBS } from "../../src/cli/program/verbs.ts";
import { ALPHA_ONLINE, DELTA } from "../unit/cli/fake-machines.ts";
import { FakeProcess, type Surroundings, WORLDS, type World } from "../unit/cli/fake-world.ts";

const WORLD: World = { ...(WORLDS["three"] as World), machines: [ALPHA_ONLINE, DELTA] };

async function run(line: string, around: Surroundings = {}, world: World = WORLD) {
  const process = new FakeProcess(world, around);
  const status = await runMachinectl(line.split(" "), process);
  return { status, stdout: process.stdout, stderr: process.stderr, screen: process.screen, process };
}

describe("--json", () => {
  test("prints list as -o json does", async () => {
    const { stdout } = await run("list --json=short");
    expect(stdout).toBe((await run("list -o json")).stdout);
    expect((await run("list --json=pretty")).stdout).toBe((await run("list -o json-pretty")).stdout);
    expect((await run("list --json=off")).stdout).toBe((await run("list")).stdout);
  });

  test("prints show as an object with the names and types of D-Bus, also properties that the text output leaves out", async () => {
    const { stdout } = await run("show alpha --json=short");
    expect(JSON.parse(stdout)).toMatchObject({
      Name: "alpha",
      Id: ALPHA_ONLINE.id,
      Timestamp: 1795350902752697,
      Leader: 528,
      NetworkInterfaces: [3],
      SSHAddress: "",
    });
    expect(Object.keys(JSON.parse(stdout)).slice(0, 5)).toEqual([
      "Name",
      "Id",
      "Timestamp",
      "TimestampMonotonic",
      "Service",
    ]);
  });

  test("keeps integers that a JavaScript number cannot represent", async () => {
    expect((await run("show --json=short")).stdout).toBe(
      '{"PoolPath":"/var/lib/machines","PoolUsage":18446744073709551615,"PoolLimit":18446744073709551615}\n',
    );
  });

  test("respects -p, and prints one document for each machine", async () => {
    expect((await run("show alpha delta -p Class -p Name --json=short")).stdout).toBe(
      '{"Name":"alpha","Class":"container"}\n{"Name":"delta","Class":"vm"}\n',
    );
  });

  test("prints status as an object with all known fields", async () => {
    const { stdout } = await run("status alpha -n 1 --json=pretty");
    const status = JSON.parse(stdout);
    expect(status).toMatchObject({
      name: "alpha",
      id: ALPHA_ONLINE.id,
      class: "container",
      state: "running",
      since: 1795350902752697,
      leader: { pid: 528, name: "systemd" },
      networkInterfaces: [{ index: 3, name: "ve-alpha" }],
      addresses: ["10.99.0.2", "10.99.0.3", "2001:db8::5", "fe80::1064:dff:fe1a:87ae"],
      osRelease: { ID: "debian" },
      uidShift: 1447690240,
      journal: [{ MESSAGE: "" }],
    });
    expect(status.processes.children[0]).toEqual({
      cgroup: "/machine.slice/systemd-nspawn@alpha.service/payload/init.scope",
      processes: [{ pid: 528, command: "/usr/lib/systemd/systemd" }],
      children: [],
    });
  });

  test("prints the same keys for every machine, with null for unknown values", async () => {
    const [alpha, delta] = (await run("status alpha delta -n 0 --json=short")).stdout
      .trim()
      .split("\n")
      .map((l) => JSON.parse(l));
    expect(Object.keys(delta)).toEqual(Object.keys(alpha));
    expect([delta.osRelease, delta.supervisor.name, delta.subgroup, delta.journal]).toEqual([null, null, null, []]);
  });

  test("refuses other formats", async () => {
    const { stderr, status } = await run("list --json=xml");
    expect([stderr, status]).toEqual(["Unknown argument to --json= switch: xml\n", 1]);
    expect((await run("--json=help")).stdout).toBe("pretty\nshort\noff\n");
  });
});

const KILL_PAGE = `> machinectl kill [OPTION…] NAME…

Send a signal to the processes of machines.

Arguments:
  NAME…                      A machine, or several

Options:
     --kill-whom=WHOM        Who gets the signal: leader, supervisor or all
  -s --signal=SIGNAL         The signal to send, or 'list'

Options of all commands: machinectl --help.

See the machinectl(1) man page for details.
`;

describe("--help", () => {
  test("names every verb and option, in eighty columns", async () => {
    const { stdout, status } = await run("--help list --bogus");
    for (const { meta } of VERBS)
      if (meta.hidden !== true) expect(stdout).toMatch(new RegExp(`^  \\[?${meta.name}\\b`, "m"));
    for (const [key, row] of Object.entries(OPTIONS)) {
      if (row.hidden !== true) expect(stdout).toContain(key.length === 1 ? ` -${key} ` : `--${key}`);
    }
    expect(stdout.split("\n").filter((line) => Bun.stringWidth(line) > 80)).toEqual([]);
    expect([stdout.endsWith("\nSee the machinectl(1) man page for details.\n"), status]).toEqual([true, 0]);
  });

  test("fits the terminal, and has links to the manual on a terminal with colours", async () => {
    const { screen } = await run("-h", { columns: 60, env: { TERM: "xterm", SYSTEMD_PAGER: "" } });
    expect(screen.split("\r\n").filter((line) => Bun.stringWidth(line) > 60)).toEqual([]);
    expect(screen).toContain("\u001b]8;;man:machinectl(1)\u001b\\machinectl(1) man page\u001b]8;;\u001b\\");
  });

  test("and 'help' need no manager", async () => {
    const { status, process } = await run("help", { sockets: [] });
    expect([status, process.targets]).toEqual([0, []]);
  });

  test("after a verb, or an alias of one, prints the page of that verb", async () => {
    const { stdout, status } = await run("kill --help --bogus");
    expect([stdout, status]).toEqual([KILL_PAGE, 0]);
    expect((await run("help kill")).stdout).toBe(KILL_PAGE);
    expect((await run("help kill --help")).stdout).toBe(KILL_PAGE);
    expect((await run("stop -h")).stdout).toStartWith("> machinectl poweroff [OPTION…] NAME…\n");
    expect((await run("help nonsense")).stdout).toBe((await run("help")).stdout);
    expect((await run("nonsense --help")).stdout).toBe((await run("help")).stdout);
  });

  test("after the words of a command that runs in a machine belongs to the command", async () => {
    expect((await run("exec --help")).stdout).toStartWith("> machinectl exec [OPTION…] MACHINE COMMAND…\n");
    expect((await run("exec alpha ls --help")).stdout).not.toContain("machinectl exec");
  });

  test("lists the columns of a list, with a star for those that are not shown by default", async () => {
    const { stdout } = await run("list --help");
    expect(stdout).toContain("\nColumns (* not shown unless asked for):\n  machine, name ");
    expect(stdout).toMatch(/^ {2}leader \* +/m);
  });
});

test("--version begins as systemd's does, so that scripts find the version number", async () => {
  const { stdout } = await run("--version list");
  expect(stdout).toMatch(/^systemd \d+ \([^\n]+\)\nmachined \d+\.\d+\.\d+( \+[A-Z_]+)+\n$/);
});

test("--introspect-cli describes verbs and options as one line of JSON", async () => {
  const { stdout } = await run("--introspect-cli");
  const [command] = JSON.parse(stdout).commands;
  expect(stdout.split("\n").length).toBe(2);
  expect(command.options).toContainEqual({
    names: ["-p", "--property"],
    argument: "required_argument",
    metavar: "NAME",
    help: expect.any(String),
  });
  expect(command.verbs[0]).toMatchObject({ names: ["list"], maxArguments: 1, isDefault: true });
  expect(command.verbs[1]).toMatchObject({ names: ["status"], minArguments: 2 });
  expect(command.verbs[1].maxArguments).toBeUndefined();
});

describe("when stdout cannot be written", () => {
  test("list fails", async () => {
    const { status } = await run("list", { writeFailure: "ENOSPC" });
    expect(status).toBe(1);
  });

  test("other verbs fail, too, where the original's succeed without any output", async () => {
    for (const line of ["show alpha", "status alpha -n 0"]) {
      const { status } = await run(line, { writeFailure: "ENOSPC" });
      expect([line, status]).toEqual([line, 1]);
    }
  });

  test("every verb succeeds when the reader has closed the pipe", async () => {
    for (const line of ["list", "show alpha"]) expect((await run(line, { writeFailure: "EPIPE" })).status).toBe(0);
  });
});

describe("status", () => {
  test("continues when the processes cannot be read (C44)", async () => {
    const process = new FakeProcess(WORLD);
    const bus = process.managers.bus();
    process.connectBus = async () => ({
      ...bus,
      call: async (call) => {
        if (call.member !== "GetUnitProcesses") return bus.call(call);
        throw Object.assign(new Error("Access denied"), { errorName: "org.freedesktop.DBus.Error.AccessDenied" });
      },
    });
    expect(await runMachinectl(["status", "alpha", "-n", "0"], process)).toBe(0);
    expect(process.stderr).toBe("Failed to dump process list: Access denied\n");
    expect(process.stdout.endsWith("\tSubgroup: payload\n")).toBe(true);
  });

  test("shows only the class without a service (C41), no UID shift of zero (C39), and unknown interfaces by number", async () => {
    const world = { ...WORLD, machines: [{ ...DELTA, service: "", interfaces: [7, 3], addresses: ["fe80::1"] }] };
    const { stdout } = await run("status delta -n 0", {}, world);
    expect(stdout).toContain(
      "\t   Class: vm\n\t    Root: /srv\n\t   Iface: 7 ve-alpha\n\t Address: fe80::1%3\n\t    Unit:",
    );
  });

  test("shows processes outside of the unit as a flat list", async () => {
    const stray = { ...DELTA, processes: [...DELTA.processes, ["/elsewhere", 7, "stray"] as const] };
    const { stdout } = await run("status delta -n 0", {}, { ...WORLD, machines: [stray] });
    expect(stdout.endsWith("\t\t  └─809 sleep 100000\n\t\t  ‣ 7 stray\n")).toBe(true);
  });
});
