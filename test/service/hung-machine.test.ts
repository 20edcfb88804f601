// Machines whose file systems never answer: each blocks its own caller, once, and nobody else.
import { afterEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { BusClient } from "../../src/ipc/bus/client.ts";
import { errorOf, isRoot, manager, needsRoot, register, TestDaemon } from "../lib/daemon.ts";
import { GUARD_MS, waitFor } from "../lib/wait-for.ts";
import { processFile } from "../lib/workers.ts";
import { muteFileSystem, TestMachine } from "./open-support.ts";

setDefaultTimeout(GUARD_MS);

const MACHINES = 6;

describe.skipIf(!isRoot)(`machines that hang${needsRoot}`, () => {
  const ends: AsyncDisposable[] = [];
  afterEach(async () => {
    for (const end of ends.splice(0).reverse()) await end[Symbol.asyncDispose]();
  });
  const start = async (env: Record<string, string> = {}): Promise<[TestDaemon, BusClient]> => {
    const daemon = await TestDaemon.start(env);
    ends.push(daemon);
    return [daemon, await daemon.bus()];
  };
  const mute = async (bus: BusClient, name: string) => {
    const machine = await TestMachine.start(["--mount"], null, muteFileSystem());
    ends.push(machine);
    await register(bus, name, machine.pid);
    return machine;
  };
  const workers = ({ pid }: TestDaemon) =>
    readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ").filter(Boolean);

  test("are read concurrently, and not again while a process hangs in them", async () => {
    const [daemon, bus] = await start();
    for (let i = 0; i < MACHINES; i++) await mute(bus, `mute-${i}`);
    const varlink = await daemon.varlink();
    const list = () => Array.fromAsync(varlink.callMore("io.systemd.Machine.List", { acquireMetadata: "graceful" }));
    const listed = list();
    // Concurrently: no worker is given up before all of them have been started.
    await waitFor(() => expect(workers(daemon)).toHaveLength(MACHINES), "a worker for each machine");
    expect(await listed).toHaveLength(MACHINES + 1);
    await waitFor(() => expect(daemon.log.match(/was killed and does not end/g)).toHaveLength(MACHINES), "the verdict");
    expect(workers(daemon)).toHaveLength(MACHINES);
    for (let i = 0; i < 100; i++) {
      expect(await errorOf(manager(bus, "GetMachineOSRelease", "s", "mute-0"))).toContain("Timeout");
    }
    expect(await list()).toHaveLength(MACHINES + 1);
    expect(workers(daemon)).toHaveLength(MACHINES);
  });

  test("occupy no places of others, do not prevent the daemon's exit, and are read again when they answer", async () => {
    const here = mkdtempSync(join(tmpdir(), "machined-hung-"));
    ends.push({ [Symbol.asyncDispose]: async () => rmSync(here, { recursive: true }) });
    const [daemon, bus] = await start({ MACHINED_IMAGE_ROOT: here });
    const machine = await mute(bus, "mute");
    const good = await TestMachine.start(["--mount"], null);
    ends.push(good);
    await register(bus, "good", good.pid);
    writeFileSync(join(here, "file"), "x");
    // The maximum number of copies hangs in the machine.
    const copies = Array.from({ length: 64 }, (_, i) =>
      errorOf(manager(bus, "CopyFromMachine", "sss", "mute", "/etc/held/file", join(here, `copy-${i}`))),
    );
    await waitFor(() => expect(workers(daemon)).toHaveLength(64), "the workers");
    expect(await errorOf(manager(bus, "CopyToMachine", "sss", "good", join(here, "file"), "/run/file"))).toContain(
      "LimitsExceeded",
    );
    // An operation on an image does not count as one on a machine.
    const image = join(here, "var/lib/machines/tree");
    mkdirSync(join(image, "usr"), { recursive: true });
    await manager(bus, "RemoveImage", "s", "tree");
    expect(existsSync(image)).toBe(false);
    process.kill(machine.pid, "SIGKILL");
    await Promise.all(copies);
    await waitFor(() => expect(workers(daemon)).toHaveLength(0), "the end of the workers");
    await manager(bus, "CopyToMachine", "sss", "good", join(here, "file"), "/run/file");

    await mute(bus, "again");
    const answer = errorOf(manager(bus, "GetMachineOSRelease", "s", "again"));
    expect(await answer).toContain("Timeout");
    await waitFor(() => expect(daemon.log).toContain("was killed and does not end"), "the verdict");
    const hung = workers(daemon);
    await daemon.kill();
    expect(hung.map((pid) => /^State:\t(.)/m.exec(processFile(Number(pid), "status"))?.[1])).toEqual(["D"]);
    await daemon.run();
    expect(JSON.stringify(await manager(await daemon.bus(), "ListMachines"))).toContain('"again"');
  });
});
