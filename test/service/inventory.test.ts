// `machinectl inventory` with a daemon: the output that Ansible and Prometheus read.
import { expect, test } from "bun:test";
import { mkdirSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { needsRoot, register, TestDaemon } from "../lib/daemon.ts";

const MAIN = join(import.meta.dir, "../../src/main.ts");

async function run(daemon: TestDaemon, ...words: string[]) {
  const child = Bun.spawn([process.execPath, MAIN, ...words], {
    env: { PATH: process.env["PATH"] ?? "", MACHINED_RUNTIME_DIRECTORY: daemon.runtime },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  const [stdout, stderr] = await Promise.all([child.stdout.text(), child.stderr.text()]);
  return { code: await child.exited, stdout, stderr };
}

async function withMachines(): Promise<TestDaemon> {
  const daemon = await TestDaemon.start();
  const bus = await daemon.bus();
  const leader = await daemon.leader("--net");
  const add = ["nsenter", "-t", String(leader), "-n", "ip", "addr", "add", "10.77.0.2/24", "dev", "lo"];
  expect(Bun.spawnSync(add).exitCode).toBe(0);
  await register(bus, "web", leader);
  await register(bus, "vm", await daemon.leader(), { class: "vm" });
  return daemon;
}

test.skipIf(needsRoot !== "")(
  `an inventory lists machines by class, and --host returns the variables of one machine${needsRoot}`,
  async () => {
    await using daemon = await withMachines();
    const listed = await run(daemon, "machinectl", "inventory", "ansible", "--list");
    expect([listed.code, listed.stderr]).toEqual([
      0,
      expect.stringMatching(/^Ansible cannot reach vm from here: .*\n$/),
    ]);
    const inventory = JSON.parse(listed.stdout);
    expect(inventory.containers).toEqual({ hosts: ["web"] });
    expect(inventory.vms).toEqual({ hosts: ["vm"] });
    expect(inventory._meta.hostvars.web).toMatchObject({
      machined_addresses: ["10.77.0.2"],
      ansible_connection: "ssh",
    });
    // In the form that Ansible uses, and in the other forms.
    for (const words of [
      ["machinectl", "inventory", "ansible"],
      ["machined-inventory"],
      ["machined-inventory", "--list"],
    ] as const) {
      expect((await run(daemon, ...words)).stdout).toBe(listed.stdout);
    }
    const host = await run(daemon, "machinectl", "inventory", "ansible", "--host", "web");
    expect(JSON.parse(host.stdout)).toEqual(inventory._meta.hostvars.web);
    expect((await run(daemon, "machined-inventory", "--host=web")).stdout).toBe(host.stdout);
    expect(JSON.parse((await run(daemon, "machined-inventory", "--host", "nobody")).stdout)).toEqual({});
  },
);

test.skipIf(needsRoot !== "")(
  `a machine whose name is a group or the host of Ansible is left out, because a play for that would run in it${needsRoot}`,
  async () => {
    await using daemon = await withMachines();
    const bus = await daemon.bus();
    for (const name of ["all", "ungrouped", "containers", "vms", "localhost", "127.0.0.1"]) {
      await register(bus, name, await daemon.leader());
    }
    const listed = await run(daemon, "machined-inventory", "--list");
    expect(listed.code).toBe(0);
    expect(listed.stderr).toContain(
      "Left out: 127.0.0.1, all, containers, localhost, ungrouped, vms: to Ansible, these names are its own host and groups.",
    );
    const inventory = JSON.parse(listed.stdout);
    expect(Object.keys(inventory._meta.hostvars).toSorted()).toEqual(["vm", "web"]);
    expect([inventory.containers.hosts, inventory.vms.hosts]).toEqual([["web"], ["vm"]]);
    expect(JSON.parse((await run(daemon, "machined-inventory", "--host", "localhost")).stdout)).toEqual({});
  },
);

test.skipIf(needsRoot !== "")(
  `targets are printed, or written to a file that is replaced as a whole${needsRoot}`,
  async () => {
    await using daemon = await withMachines();
    const words = ["machinectl", "inventory", "prometheus-sd"] as const;
    const printed = await run(daemon, ...words, "--port=9200");
    expect(JSON.parse(printed.stdout)).toEqual([
      { targets: ["10.77.0.2:9200"], labels: { machine: "web", class: "container", service: "test" } },
    ]);
    const directory = join(daemon.runtime, "targets");
    mkdirSync(directory);
    expect(await run(daemon, ...words, "--port", "9200", join(directory, "machines.json"))).toMatchObject({
      code: 0,
      stdout: "",
    });
    expect(readFileSync(join(directory, "machines.json"), "utf8")).toBe(printed.stdout);
    expect(readdirSync(directory)).toEqual(["machines.json"]);
  },
);

test.skipIf(needsRoot !== "")(`wrong arguments are refused${needsRoot}`, async () => {
  await using daemon = await TestDaemon.start();
  const refused = async (...words: string[]) => {
    const { code, stderr } = await run(daemon, "machinectl", "inventory", ...words);
    return [code, stderr.trim()];
  };
  expect(await refused("yaml")).toEqual([1, "Unknown inventory 'yaml': there are ansible and prometheus-sd"]);
  const wrong = (text: string) => [1, `Wrong arguments of the inventory: ${text}`];
  expect(await refused("ansible", "--host")).toEqual(wrong("--host"));
  expect(await refused("ansible", "--list", "web")).toEqual(wrong("--list web"));
  expect(await refused("ansible", "web")).toEqual(wrong("web"));
  expect(await refused("prometheus-sd", "--port=0")).toEqual(wrong("--port=0"));
  expect(await refused("prometheus-sd", "--port")).toEqual(wrong("--port"));
  expect(await refused("prometheus-sd", "a", "b")).toEqual(wrong("a b"));
  expect(JSON.parse((await run(daemon, "machinectl", "inventory", "prometheus-sd")).stdout)).toEqual([]);
});

test.skipIf(needsRoot !== "")(
  `machined-rsh prints an error for what it cannot do, with the exit status of ssh${needsRoot}`,
  async () => {
    await using daemon = await TestDaemon.start();
    expect(await run(daemon, "machined-rsh", "-L", "1:a:2", "web", "true")).toMatchObject({ code: 255, stdout: "" });
    const help = await run(daemon, "machined-rsh", "--help");
    expect([help.code, help.stdout]).toEqual([0, expect.stringContaining("[USER@]MACHINE COMMAND")]);
    const { code, stderr } = await run(daemon, "machined-rsh", "nobody", "true");
    expect([code, stderr]).toEqual([255, expect.stringContaining("nobody")]);
  },
);
