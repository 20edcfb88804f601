// Clients of users who may not see the processes of others: /proc is mounted with hidepid=1, where it has them without
// their files, or with hidepid=2, where it has none of them.
import { describe, expect, test } from "bun:test";
import { chmodSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { isRoot, manager, register, TestDaemon } from "../lib/daemon.ts";
import { hasBusDaemon, TestBus } from "../lib/private-bus.ts";
import { havePrograms } from "../lib/programs.ts";
import { waitFor } from "../lib/wait-for.ts";

const can = isRoot && hasBusDaemon && havePrograms("clients without sight of processes", "unshare", "setpriv");
const reason = can ? "" : " (left out: needs root, dbus-daemon, unshare and setpriv)";
const MAIN = join(import.meta.dir, "../../src/main.ts");
const AS_NOBODY = "exec setpriv --reuid=65534 --regid=65534 --clear-groups";

/** Runs machinectl as the user nobody, who sees no process of another user. */
function machinectlWith(hidepid: number, bus: TestBus, ...words: string[]) {
  const script = `mount -t proc -o hidepid=${hidepid} proc /proc && ${AS_NOBODY} "$@"`;
  const command = ["unshare", "--mount", "sh", "-c", script, "sh", process.execPath, MAIN, "machinectl", ...words];
  const { exitCode, stdout, stderr } = Bun.spawnSync(command, {
    env: { PATH: process.env["PATH"] ?? "", DBUS_SYSTEM_BUS_ADDRESS: bus.address, SYSTEMD_COLORS: "0" },
    stdin: "ignore",
  });
  return { exitCode, output: stdout.toString(), errors: stderr.toString() };
}

describe.skipIf(!can).each([1, 2])(`where /proc hides processes by hidepid=%d${reason}`, (hidepid) => {
  const machinectl = (bus: TestBus, ...words: string[]) => machinectlWith(hidepid, bus, ...words);

  test("stats does not say that there are no machines", async () => {
    await using bus = await TestBus.start();
    chmodSync(bus.directory, 0o755);
    await using daemon = await TestDaemon.start({ DBUS_SYSTEM_BUS_ADDRESS: bus.address });
    const client = await bus.connect();
    await waitFor(() => manager(client, "ListMachines"), "the daemon on the bus");
    expect(machinectl(bus, "stats")).toMatchObject({ exitCode: 0, output: expect.stringContaining("No machines.") });
    await register(client, "seen", await daemon.leader());
    for (const words of [["stats"], ["stats", "seen"]]) {
      const { exitCode, output, errors } = machinectl(bus, ...words);
      expect([exitCode, output]).toEqual([1, ""]);
      expect(errors).toContain(
        "Cannot read the resource usage of machine 'seen': /proc hides the processes of other users",
      );
    }
    client.close();
  });

  test("list, status and doctor say what is missing", async () => {
    await using bus = await TestBus.start();
    chmodSync(bus.directory, 0o755);
    await using daemon = await TestDaemon.start({ DBUS_SYSTEM_BUS_ADDRESS: bus.address });
    const client = await bus.connect();
    await waitFor(() => manager(client, "ListMachines"), "the daemon on the bus");
    await register(client, "seen", await daemon.leader());
    expect(machinectl(bus, "list")).toMatchObject({ exitCode: 0, errors: "" });
    const HIDES = "/proc hides the processes of other users from this one";
    const list = machinectl(bus, "list", "--columns=machine,memory");
    expect([list.exitCode, list.errors]).toEqual([0, `The memory of machines is not shown: ${HIDES}.\n`]);
    const status = machinectl(bus, "status", "seen");
    expect([status.exitCode, status.errors]).toEqual([0, `Failed to dump process list: ${HIDES}\n`]);
    const { output } = machinectl(bus, "doctor");
    expect(output).toMatch(new RegExp(`^unknown +systemd-machined +could not be checked: ${HIDES}$`, "m"));
    expect(output).toMatch(/^ok +message bus +answers$/m);
    expect(output).not.toContain("could not be checked: No such file or directory");
    client.close();
  });

  test("stats names the machines that it leaves out", async () => {
    await using bus = await TestBus.start();
    chmodSync(bus.directory, 0o755);
    await using daemon = await TestDaemon.start({ DBUS_SYSTEM_BUS_ADDRESS: bus.address });
    const client = await bus.connect();
    await waitFor(() => manager(client, "ListMachines"), "the daemon on the bus");
    const own = Bun.spawn(["sh", "-c", `${AS_NOBODY} sleep 1000`], { stdio: ["ignore", "ignore", "ignore"] });
    try {
      await waitFor(() => {
        if (readFileSync(`/proc/${own.pid}/comm`, "utf8") !== "sleep\n") throw new Error("not started");
      }, "a process of nobody");
      await register(client, "own", own.pid);
      await register(client, "seen", await daemon.leader());
      const { exitCode, output, errors } = machinectl(bus, "stats");
      expect([exitCode, errors]).toEqual([
        0,
        "Not shown: seen: /proc hides the processes of other users from this one.\n",
      ]);
      expect(output).toContain("own ");
    } finally {
      own.kill("SIGKILL");
    }
    client.close();
  });
});
