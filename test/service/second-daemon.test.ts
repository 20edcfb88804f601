// Two daemons for one runtime directory or one bus, and a bus that is restarted.
import { afterEach, describe, expect, test } from "bun:test";
import { mkdirSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { openPath } from "../../src/kernel/file/fd.ts";
import { FileLock } from "../../src/kernel/file/lock.ts";
import { isRoot, manager, needsRoot, TestDaemon } from "../lib/daemon.ts";
import { descriptorsTo } from "../lib/descriptors.ts";
import { hasBusDaemon, TestBus } from "../lib/private-bus.ts";
import { waitFor } from "../lib/wait-for.ts";

const MAIN = join(import.meta.dir, "../../src/main.ts");
const NAME = "org.freedesktop.machine1";
const SUPERFLUOUS = 69;

/** Name and inode of every file below a directory. */
function inventory(directory: string): string[] {
  return (readdirSync(directory, { recursive: true }) as string[])
    .map((name) => `${name} ${statSync(join(directory, name)).ino}`)
    .sort();
}

async function second(program: string, env: Record<string, string>): Promise<{ code: number; log: string }> {
  const command = [process.execPath, MAIN, program];
  const child = Bun.spawn(command, { env: { PATH: process.env["PATH"] ?? "", ...env }, stderr: "pipe" });
  return { code: await child.exited, log: await child.stderr.text() };
}

describe.skipIf(!isRoot)(`a second daemon${needsRoot}`, () => {
  test("in the same directory exits and changes nothing", async () => {
    await using daemon = await TestDaemon.start();
    const before = inventory(daemon.runtime);
    const { code, log } = await second("systemd-machined", { MACHINED_RUNTIME_DIRECTORY: daemon.runtime });
    expect(code).toBe(SUPERFLUOUS);
    expect(log).toContain("Another daemon runs already");
    expect(inventory(daemon.runtime)).toEqual(before);
    expect((await manager(await daemon.bus(), "ListMachines"))[0]).toHaveLength(1);
    await daemon.kill("SIGKILL");
    await daemon.run();
    expect((await manager(await daemon.bus(), "ListMachines"))[0]).toHaveLength(1);
  });

  test("in the same directory takes over from one that ends", async () => {
    await using daemon = TestDaemon.prepare();
    mkdirSync(join(daemon.runtime, "machine"));
    const lock = FileLock.take(join(daemon.runtime, "machine/lock"), "exclusive");
    const started = daemon.run();
    await waitFor(() => expect(daemon.log).toContain("waiting for its end"), "the new daemon to wait");
    lock[Symbol.dispose]();
    await started;
    expect((await manager(await daemon.bus(), "ListMachines"))[0]).toHaveLength(1);
  });
});

const can = isRoot && hasBusDaemon;
describe.skipIf(!can)(`a bus${can ? "" : " (left out: needs root and dbus-daemon)"}`, () => {
  const ends: AsyncDisposable[] = [];
  afterEach(async () => {
    for (const end of ends.splice(0).reverse()) await end[Symbol.asyncDispose]();
  });
  const startBus = async () => {
    const bus = await TestBus.start();
    ends.push(bus);
    return bus;
  };
  const startDaemon = async (env: Record<string, string>) => {
    const daemon = TestDaemon.prepare(env);
    ends.push(daemon);
    await daemon.run();
    return daemon;
  };

  test.each(["systemd-machined", "systemd-importd"])(
    "whose name is taken: %s exits, and leaves no files",
    async (program) => {
      const bus = await startBus();
      const owner = await bus.connect();
      for (const name of [NAME, "org.freedesktop.import1"]) await owner.driver("RequestName", "su", [name, 0]);
      const daemon = TestDaemon.prepare();
      ends.push(daemon);
      const env = { MACHINED_RUNTIME_DIRECTORY: daemon.runtime, DBUS_SYSTEM_BUS_ADDRESS: bus.address };
      const { code, log } = await second(program, env);
      expect(code).toBe(SUPERFLUOUS);
      expect(log).toContain("on the bus already");
      const left = inventory(daemon.runtime).filter((file) =>
        statSync(join(daemon.runtime, file.split(" ")[0] ?? "")).isFile(),
      );
      expect(left).toEqual([]);
      owner.close();
    },
  );

  test("on which the name is taken after a restart: the daemon requests it again", async () => {
    const bus = await startBus();
    const daemon = await startDaemon({ DBUS_SYSTEM_BUS_ADDRESS: bus.address });
    await bus.stop();
    await waitFor(() => expect(daemon.log).toContain("Lost the system bus"), "the loss");
    await bus.run();
    const thief = await bus.connect();
    await thief.driver("RequestName", "su", [NAME, 0]);
    await waitFor(
      () => expect(daemon.log).toContain(`owns the name ${NAME} on the bus already. Trying again.`),
      "a refusal",
    );
    thief.close();
    const client = await bus.connect();
    await waitFor(() => manager(client, "ListMachines"), "the daemon on the bus", 20_000);
    client.close();
  });

  test("that is lost several times while the daemon connects: the daemon has one connection in the end", async () => {
    const bus = await startBus();
    await startDaemon({ DBUS_SYSTEM_BUS_ADDRESS: bus.address });
    for (let round = 0; round < 4; round++) {
      await bus.stop();
      await bus.run();
      const client = await bus.connect();
      const names = async () =>
        ((await client.driver("ListNames"))[0] as string[]).filter((name) => name.startsWith(":"));
      // As soon as the daemon's connection exists, which may be during its handshake.
      await waitFor(async () => expect((await names()).length).toBeGreaterThan(1), "the daemon's connection", 20_000);
    }
    const client = await bus.connect();
    await waitFor(() => manager(client, "ListMachines"), "the daemon on the bus", 20_000);
    const names = ((await client.driver("ListNames"))[0] as string[]).filter((name) => name.startsWith(":"));
    expect(names).toHaveLength(3); // the daemon, this client, and the last round's client
    client.close();
  });

  test("on which a peer sends a header of 17 MiB, with a descriptor: the daemon stays connected", async () => {
    const bus = await startBus();
    const daemon = await startDaemon({ DBUS_SYSTEM_BUS_ADDRESS: bus.address });
    const client = await bus.connect();
    const open = () => descriptorsTo("/dev/null", daemon.pid);
    await waitFor(() => manager(client, "ListMachines"), "the daemon on the bus");
    const before = open();
    const call = { destination: NAME, interface: "a.b", member: "C" };
    using file = openPath("/dev/null", "read");
    const long = `/${"x".repeat(17 << 20)}`;
    client.call({ ...call, path: long, signature: "h", body: [file], timeoutMs: 1 }).catch(() => {});
    await waitFor(
      () => expect(daemon.log).toContain("Skipped a message from the bus: the header of its 178"),
      "the log",
    );
    expect((await manager(client, "ListMachines"))[0]).toHaveLength(1);
    expect(daemon.log).not.toContain("Lost the system bus");
    await waitFor(() => expect(open()).toBe(before), "the descriptor to be closed");
    client.close();
  });

  test("that no longer answers: the daemon ends all the same", async () => {
    const bus = await startBus();
    const daemon = await startDaemon({ DBUS_SYSTEM_BUS_ADDRESS: bus.address });
    const client = await bus.connect();
    await waitFor(() => manager(client, "ListMachines"), "the daemon on the bus", 20_000);
    bus.freeze();
    let code: number | null = null;
    void daemon.kill("SIGTERM").then((status) => {
      code = status;
    });
    // The time limit of a call on the bus is 25 s.
    await waitFor(() => expect(code).toBe(0), "the end of the daemon", 20_000);
  });

  test("that is started later: the daemon connects to it", async () => {
    const bus = await startBus();
    await bus.stop();
    await startDaemon({ DBUS_SYSTEM_BUS_ADDRESS: bus.address });
    await bus.run();
    const client = await bus.connect();
    await waitFor(() => manager(client, "ListMachines"), "the daemon on the bus", 20_000);
    client.close();
  });
});
