// The examples for authors of machine managers (docs/machine-managers.md), run unchanged: each starts a command as a
// machine of a daemon, on a bus and on the daemon's Varlink socket.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmodSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import type { BusClient } from "../../src/ipc/bus/client.ts";
import { errorOf, getProperty, isRoot, manager, TestDaemon } from "../lib/daemon.ts";
import { hasBusDaemon, TestBus } from "../lib/private-bus.ts";
import { haveOptional, havePrograms, leaveOut } from "../lib/programs.ts";
import { waitFor } from "../lib/wait-for.ts";

const EXAMPLES = join(import.meta.dir, "../../examples");
const MAIN = join(import.meta.dir, "../../src/main.ts");
const MACHINE = "org.freedesktop.machine1.Machine";

const can = isRoot && hasBusDaemon;
const reason = can ? "" : " (left out: needs root and dbus-daemon)";
/** The interpreter of Debian's Python modules, with the module. */
const hasDbusModule =
  Bun.spawnSync(["/bin/sh", "-c", "exec /usr/bin/python3 -c 'import dbus'"], { stderr: "ignore" }).exitCode === 0;
if (!hasDbusModule) leaveOut("the example register_dbus.py", "there is no module dbus (Debian: python3-dbus)");

/** The examples that can run here. */
const RUNNABLE = [
  "register-machinectl.sh",
  ...(havePrograms("the example register-busctl.sh", "busctl") ? ["register-busctl.sh"] : []),
  ...(haveOptional("the example register-varlinkctl.sh", "varlinkctl") ? ["register-varlinkctl.sh"] : []),
  ...(hasDbusModule ? ["register_dbus.py"] : []),
  ...(havePrograms("the example register_varlink.py", "python3") ? ["register_varlink.py"] : []),
  ...(havePrograms("the example register.c", "gcc") ? ["register.c"] : []),
  ...(haveOptional("the example register.go", "go") ? ["register.go"] : []),
];

const ALL = [
  ...["register-busctl.sh", "register-machinectl.sh", "register-varlinkctl.sh", "register.c", "register.go"],
  ...["register_dbus.py", "register_varlink.py"],
];

test("every example is tested", () => {
  expect(readdirSync(EXAMPLES).sort()).toEqual(ALL);
});

describe.skipIf(!can)(`the examples for authors of machine managers${reason}`, () => {
  const scratch = mkdtempSync(join(tmpdir(), "machined-examples-"));
  let testBus: TestBus;
  let daemon: TestDaemon;
  let bus: BusClient;

  beforeAll(async () => {
    testBus = await TestBus.start();
    daemon = await TestDaemon.start({
      DBUS_SYSTEM_BUS_ADDRESS: testBus.address,
      MACHINED_SERVICE_MANAGER: "own",
    });
    bus = await testBus.connect();
    await waitFor(() => manager(bus, "ListMachines"), "the daemon on the bus");
    writeFileSync(join(scratch, "machinectl"), `#!/bin/sh\nexec '${process.execPath}' '${MAIN}' machinectl "$@"\n`);
    chmodSync(join(scratch, "machinectl"), 0o755);
  });
  afterAll(async () => {
    bus.close();
    await daemon[Symbol.asyncDispose]();
    await testBus[Symbol.asyncDispose]();
    rmSync(scratch, { recursive: true, force: true });
  });

  /** The command of an example, which is compiled first if needed. */
  function commandOf(example: string): string[] {
    const source = join(EXAMPLES, example);
    if (example.endsWith(".sh") || example.endsWith(".py")) return [source];
    const program = join(scratch, example.replace(".", "-"));
    const compiler = example.endsWith(".c")
      ? ["gcc", "-std=c11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", "-O2", "-o", program, source]
      : ["go", "build", "-o", program, source];
    const { exitCode, stderr } = Bun.spawnSync(compiler, { env: { ...process.env, GOCACHE: join(scratch, "go") } });
    expect([exitCode, stderr.toString()]).toEqual([0, ""]);
    return [program];
  }

  function start(command: readonly string[]) {
    return Bun.spawn([...command], {
      env: {
        PATH: `${scratch}${delimiter}${process.env["PATH"] ?? ""}`,
        DBUS_SYSTEM_BUS_ADDRESS: testBus.address,
        MACHINED_RUNTIME_DIRECTORY: daemon.runtime,
      },
      stdio: ["pipe", "pipe", "pipe"],
    });
  }

  test.each(RUNNABLE)("%s runs a command as a machine, which ends with it", async (example) => {
    const name = `example-${process.pid}-${RUNNABLE.indexOf(example)}`;
    const command = [...commandOf(example), name];
    const child = start([...command, "cat"]);
    const said = child.stderr.text();
    const path = await waitFor(async () => {
      if (child.exitCode !== null) throw new Error(await said);
      return (await manager(bus, "GetMachine", "s", name))[0] as string;
    }, "the machine");
    const property = (key: string) => getProperty(bus, path, MACHINE, key);
    expect([await property("Service"), await property("Class")]).toEqual(["example", "container"]);
    const leader = Number(await property("Leader"));
    await waitFor(async () => expect(await Bun.file(`/proc/${leader}/comm`).text()).toBe("cat\n"), "the command");

    // A second machine of that name is refused, and its command is ended.
    const second = start([...command, "cat"]);
    expect(await second.exited).toBe(1);
    expect(await second.stderr.text()).toMatch(/exists/i);

    child.stdin.write("what it reads");
    await child.stdin.end();
    const [code, stdout, stderr] = [await child.exited, await child.stdout.text(), await said];
    expect([code, stdout, stderr]).toEqual([0, "what it reads", ""]);
    await waitFor(
      async () => expect(await errorOf(manager(bus, "GetMachine", "s", name))).toContain("NoSuch"),
      "its end",
    );
  });
});
