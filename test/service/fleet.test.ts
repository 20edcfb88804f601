// Many hosts over NATS: a real nats-server with the configuration of docs/fleet.md, daemons, their agents, and
// machinectl --fleet.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { jetstream } from "@nats-io/jetstream";
import type { Subprocess } from "bun";
import { NEVER_CONNECTED } from "../../src/cli/events/events.ts";
import { connectVarlink } from "../../src/ipc/varlink/connect.ts";
import { manager, needsRoot, register, TestDaemon } from "../lib/daemon.ts";
import { provideEnterProgram } from "../lib/enter-program.ts";
import { TestFleet } from "../lib/nats.ts";
import { havePrograms } from "../lib/programs.ts";
import { GUARD_MS, waitFor } from "../lib/wait-for.ts";

const has = havePrograms("many hosts over NATS", "nats-server") && needsRoot === "";

const canExec = has && havePrograms("commands over NATS", "gcc", "pgrep");

let fleet: TestFleet;
let one: TestDaemon;
let two: TestDaemon;
let agents: Subprocess<"ignore", "ignore", "pipe">[];

interface Row {
  readonly host: string;
  readonly machine: string;
}

async function listed(user = "reader", ...options: string[]): Promise<string[]> {
  const { stdout, stderr } = await fleet.machinectl(user, "list", "--json=short", ...options);
  expect(stderr).toBe("");
  return (JSON.parse(stdout) as Row[]).map(({ host, machine }) => `${host}/${machine}`);
}

async function waitListed(expected: readonly string[]): Promise<void> {
  await waitFor(async () => expect(await listed()).toEqual([...expected]), `the list ${expected}`);
}

interface Published {
  readonly event: string;
  readonly machine: string;
  readonly host: string;
  readonly cursor: string;
}

async function events(...options: string[]): Promise<Published[]> {
  const { stdout } = await fleet.machinectl(
    "reader",
    "events",
    "--no-follow",
    "--type=machine",
    "--json=short",
    ...options,
  );
  const lines = stdout.split("\n").filter((line) => line !== "");
  return lines.map((line) => JSON.parse(line) as Published);
}

const told = (found: readonly Published[]) => found.map(({ host, event, machine }) => `${host} ${event} ${machine}`);

beforeAll(async () => {
  if (!has) return;
  [fleet, one, two] = await Promise.all([TestFleet.start(), TestDaemon.start(), TestDaemon.start()]);
  await register(await one.bus(), "deb1", await one.leader("--net"));
  await register(await two.bus(), "db.example", await two.leader("--net"), { class: "vm", service: "played" });
  agents = [
    fleet.agent("web1", one.runtime, { Allow: "read lifecycle exec" }),
    fleet.agent("web2", two.runtime, { Allow: "read" }),
  ];
  await waitListed(["web1/deb1", "web2/db.example"]);
});

afterAll(async () => {
  await fleet?.[Symbol.asyncDispose]();
  await Promise.all([one, two].map((daemon) => daemon?.[Symbol.asyncDispose]()));
});

describe.skipIf(!has)(`many hosts over NATS${needsRoot}`, () => {
  test("list has one table of all hosts, or of some", async () => {
    const { stdout } = await fleet.machinectl(
      "reader",
      "list",
      "--sort=-machine",
      "--columns=host,machine,class,service",
    );
    expect(stdout).toBe(
      "HOST MACHINE    CLASS     SERVICE\nweb1 deb1       container test\nweb2 db.example vm        played\n\n2 machines listed.\n",
    );
    expect(await listed("operator", "-H", "web2")).toEqual(["web2/db.example"]);
    expect(await listed("reader", "--filter=class=container")).toEqual(["web1/deb1"]);
  });

  test("a machine's start and end change the list and are in the stream of events, without delay", async () => {
    const bus = await one.bus();
    await register(bus, "brief", await one.leader("--net"), { create: true });
    await waitListed(["web1/brief", "web1/deb1", "web2/db.example"]);
    await manager(bus, "TerminateMachine", "s", "brief");
    await waitListed(["web1/deb1", "web2/db.example"]);
    await waitFor(async () => {
      expect(told(await events("web1/brief"))).toEqual(["web1 started brief", "web1 ended brief"]);
    }, "the events");
    const options = ["--no-follow", "--since=-1h", "--filter=event=ended", "--template={{host}}/{{name}}: {{event}}"];
    const ended = await fleet.machinectl("reader", "events", "web1/brief", ...options);
    expect([ended.stdout, ended.stderr]).toEqual(["web1/brief: ended\n", ""]);
  });

  test("events end at the time of --until=, also where no event comes after it", async () => {
    const endAfter = (seconds: number) => {
      const until = `--until=@${(Date.now() / 1000 + seconds).toFixed(3)}`;
      return fleet.machinectl("reader", "events", until, "no-such-machine");
    };
    let seconds = 1;
    let { status, stdout, stderr } = await endAfter(seconds);
    // On a busy machine the client takes longer to connect.
    for (; stderr.includes(NEVER_CONNECTED) && seconds < 128; seconds *= 2)
      ({ status, stdout, stderr } = await endAfter(2 * seconds));
    expect([status, stdout, stderr]).toEqual([0, "", ""]);
  });

  test("status and stats are read from the hosts' agents", async () => {
    const status = await fleet.machinectl("reader", "status", "web1/deb1", "web2/db.example", "--json=short");
    const pages = status.stdout
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(pages).toMatchObject([
      { host: "web1", name: "deb1", state: "running" },
      { host: "web2", name: "db.example", class: "vm" },
    ]);
    const stats = await fleet.machinectl("reader", "stats", "--json=short");
    expect((JSON.parse(stats.stdout) as Row[]).map(({ host, machine }) => `${host}/${machine}`)).toEqual([
      "web1/deb1",
      "web2/db.example",
    ]);
  });

  test("stats of all hosts are filtered and sorted together, with chosen columns or a template", async () => {
    const stats = async (...options: string[]) => {
      const { stdout, stderr } = await fleet.machinectl("reader", "stats", ...options);
      expect(stderr).toBe("");
      return stdout;
    };
    expect(await stats("--sort=-host", "--template={{host}}/{{machine}}")).toBe("web2/db.example\nweb1/deb1\n");
    expect(await stats("--columns=host,machine", "--filter=machine=deb*", "--no-legend")).toBe("web1 deb1\n");
    const [row] = JSON.parse(await stats("--columns=host,cpu", "--filter=host=web1", "--json=short"));
    expect(Object.keys(row)).toEqual(["host", "cpuPercent", "cpuUsec"]);
    // The same columns as of one host.
    expect(await stats("--columns=host,machine,owner", "--filter=leader=*", "--no-legend")).toBe(
      "web1 deb1       root\nweb2 db.example root\n",
    );
    const [all] = JSON.parse(await stats("--columns=all", "--json=short"));
    expect(all).toMatchObject({
      host: "web1",
      machine: "deb1",
      tasks: null,
      leader: expect.any(Number),
      owner: "root",
    });
  });

  test("stats -H HOST sends a request to the host's agent, and fails for a host without one", async () => {
    const there = await fleet.machinectl("reader", "-H", "web1", "stats");
    expect([there.status, there.stderr]).toEqual([0, ""]);
    const missing = await fleet.machinectl("reader", "-H", "web3", "stats");
    expect(missing).toMatchObject({ status: 1, stderr: "web3: Host 'web3' has no agent in the fleet\n" });
  });

  test("errors name what is missing: the host, the scope, the permission on the host, the verb, the server", async () => {
    const unknown = await fleet.machinectl("reader", "status", "web3/a");
    expect(unknown).toMatchObject({ status: 1, stderr: "web3: Host 'web3' has no agent in the fleet\n" });
    const reader = await fleet.machinectl("reader", "terminate", "web1/deb1");
    expect(reader.status).toBe(1);
    expect(reader.stderr).toContain(
      "does not have the scope 'lifecycle': the server refuses 'machined.web1.lifecycle.terminate'",
    );
    const host = await fleet.machinectl("operator", "terminate", "web2/db.example");
    expect(host).toMatchObject({
      status: 1,
      stderr: "web2: Host 'web2' does not allow 'lifecycle' (Allow= in its fleet.conf)\n",
    });
    const verb = await fleet.machinectl("operator", "copy-to", "web1/deb1", "/a");
    expect(verb).toMatchObject({ status: 1, stderr: "'machinectl copy-to' does not work with --fleet\n" });
    const server = await fleet.client(["machinectl", "--fleet=nats://127.0.0.1:1", "list"]);
    expect(server.status).toBe(1);
    expect(server.stderr).toStartWith("Cannot connect to the NATS server at nats://127.0.0.1:1: ");
    expect(await listed()).toEqual(["web1/deb1", "web2/db.example"]);
  });

  test("an operator can terminate a machine, and wait returns at its end", async () => {
    const bus = await one.bus();
    await register(bus, "doomed", await one.leader("--net"), { create: true });
    const waiting = fleet.machinectl("reader", "wait", "--for=ended", "web1/doomed");
    expect(await fleet.machinectl("operator", "terminate", "web1/doomed")).toEqual({
      stdout: "",
      stderr: "",
      status: 0,
    });
    expect(await waiting).toMatchObject({ status: 0 });
    await waitListed(["web1/deb1", "web2/db.example"]);
    const late = await fleet.machinectl("reader", "wait", "--for=ended", "--timeout=1ms", "web1/deb1");
    expect(late).toMatchObject({ status: 124, stderr: "web1/deb1: Not ended within the time\n" });
  });

  test.skipIf(!canExec)(
    "exec returns stdout, stderr and exit status of a command, and the command ends with its caller",
    async () => {
      provideEnterProgram();
      const service = fleet.begin(["machined-exec"], { MACHINED_RUNTIME_DIRECTORY: one.runtime });
      await waitFor(
        async () => (await connectVarlink(join(one.runtime, "machine/io.machined.Exec"))).close(),
        "machined-exec",
      );
      const command = "printf 'a\\0b'; echo complaint >&2; exit 43";
      const run = await fleet.machinectl("runner", "exec", "web1/deb1", "sh", "-c", command);
      expect(run).toEqual({ stdout: "a\0b", stderr: "complaint\n", status: 43 });
      const large = await fleet.machinectl("runner", "exec", "web1/deb1", "head", "-c", "3000000", "/dev/zero");
      expect({ bytes: large.stdout.length, status: large.status }).toEqual({ bytes: 3_000_000, status: 0 });
      const endless = fleet.begin([
        "machinectl",
        `--fleet=${fleet.conf("runner")}`,
        "exec",
        "web1/deb1",
        "yes",
        "4712",
      ]);
      const reader = endless.stdout.getReader();
      await reader.read();
      await reader.cancel();
      expect(await endless.exited).toBe(141);
      await waitFor(
        () => expect(Bun.spawnSync(["pgrep", "-fx", "yes 4712"]).exitCode).toBe(1),
        "the end of the command without a reader",
      );
      const refused = await fleet.machinectl("operator", "exec", "web1/deb1", "true");
      expect(refused.status).toBe(125);
      expect(refused.stderr).toContain("does not have the scope 'exec'");
      const elsewhere = await fleet.machinectl("runner", "exec", "web2/db.example", "true");
      expect(elsewhere).toMatchObject({
        status: 125,
        stderr: "Host 'web2' does not allow 'exec' (Allow= in its fleet.conf)\n",
      });
      const long = fleet.begin([
        "machinectl",
        `--fleet=${fleet.conf("runner")}`,
        "exec",
        "web1/deb1",
        "sh",
        "-c",
        "echo on; exec sleep 4711",
      ]);
      const { value } = await long.stdout.getReader().read();
      expect(Buffer.from(value ?? []).toString()).toBe("on\n");
      long.kill("SIGKILL");
      await waitFor(
        () => expect(Bun.spawnSync(["pgrep", "-fx", "sleep 4711"]).exitCode).toBe(1),
        "the end of the command",
      );
      service.kill();
    },
  );

  test("the agent of one host cannot write records or events of another", async () => {
    const nats = await fleet.connect("web1");
    try {
      const record = JSON.stringify({ host: "web2", machine: "false", class: "vm", addresses: "" });
      for (const subject of [
        "$KV.machined_machines.web2.false",
        "machined.events.web2.machine",
        "machined.web2.lifecycle.start",
      ])
        await expect(nats.request(subject, record)).rejects.toThrow("Permissions Violation");
      await expect(jetstream(nats).publish("$KV.machined_machines.web1.real", record)).resolves.toBeDefined();
    } finally {
      await nats.close();
    }
    // The record's host and machine differ from those of its key.
    expect(await listed()).toEqual(["web1/deb1", "web2/db.example"]);
  });

  test("the machines of one host are listed with and without the names in its record", async () => {
    expect(await listed("reader", "-H", "web1")).toEqual(["web1/deb1"]);
    expect(await listed("reader", "-H", "web1,web9")).toEqual(["web1/deb1"]);
    const nats = await fleet.connect("web1");
    try {
      for (const names of [undefined, null, "deb1"]) {
        const record = JSON.stringify({ host: "web1", allow: ["read"], since: 0, names });
        await jetstream(nats).publish("$KV.machined_hosts.web1", record);
        expect(await listed("reader", "-H", "web1")).toEqual(["web1/deb1"]);
      }
    } finally {
      await nats.close();
    }
  });

  test("a list without some of the machines that a host names fails, and an inventory without them is not printed", async () => {
    const nats = await fleet.connect("web1");
    const publish = async (names: readonly string[]) => {
      const record = { host: "web1", allow: ["read", "lifecycle"], since: 0, machines: names.length, names };
      await jetstream(nats).publish("$KV.machined_hosts.web1", JSON.stringify(record));
    };
    const run = (...args: readonly string[]) => fleet.machinectl("reader", ...args);
    try {
      await publish(["deb1", "lagging"]);
      const list = ["list", "--no-legend", "--columns=host,machine"];
      const [all, own, others, inventory] = await Promise.all([
        run(...list),
        run(...list, "-H", "web1"),
        run(...list, "-H", "web2"),
        run("inventory", "prometheus-sd"),
      ]);
      const error = expect.stringContaining("web1: The record of one of its machines is missing on the server");
      expect(all).toEqual({
        stdout: expect.stringMatching(/^web1 +deb1\nweb2 +db.example\n$/),
        stderr: error,
        status: 1,
      });
      expect(own).toEqual({ stdout: expect.stringMatching(/^web1 +deb1\n$/), stderr: error, status: 1 });
      expect(others).toEqual({ stdout: expect.stringMatching(/^web2 +db.example\n$/), stderr: "", status: 0 });
      expect(inventory).toEqual({ stdout: "", stderr: error, status: 1 });
      // The record comes while it is looked for.
      const waiting = run(...list, "-H", "web1");
      await publish(["deb1"]);
      expect(await waiting).toMatchObject({ stderr: "", status: 0 });
    } finally {
      await publish(["deb1"]);
      await nats.close();
    }
  });

  test("hostile requests are refused, and the agent continues to work", async () => {
    const nats = await fleet.connect("operator");
    try {
      const ask = async (subject: string, body: string | Uint8Array) =>
        (await nats.request(subject, body, { timeout: GUARD_MS })).json() as { status: number; error: string };
      const terminate = "machined.web1.lifecycle.terminate";
      for (const body of [
        "{",
        "[]",
        "null",
        '{"machines":["*"]}',
        '{"machines":["a\\u001b[2J"]}',
        '{"machines":["--all"]}',
      ])
        expect((await ask(terminate, body)).status).toBe(1);
      expect((await ask(terminate, Buffer.alloc(1 << 19, 0xff))).error).toBe("A request has 65536 bytes at most");
      expect((await ask("machined.web1.lifecycle.constructor", "")).error).toContain("There is no request");
      // A request needs a reply subject, and it must be an inbox.
      nats.publish(terminate, '{"machines":["deb1"]}');
      for (const reply of [
        "$KV.machined_machines.web1.x",
        "$JS.ACK.s.c.1.1.1.1.0",
        "machined.web2.lifecycle.terminate",
      ])
        nats.publish(terminate, '{"machines":["deb1"]}', { reply });
      await nats.flush();
      const many = await Promise.all(
        Array.from({ length: 40 }, () => ask("machined.web1.read.status", '{"machines":["deb1"]}')),
      );
      expect(many.filter(({ status }) => status === 0).length).toBeGreaterThanOrEqual(4);
      expect(many.filter(({ error }) => error.includes("requests of this kind already")).length).toBeGreaterThan(0);
    } finally {
      await nats.close();
    }
    expect(agents[0]?.exitCode).toBe(null);
    expect(await listed()).toEqual(["web1/deb1", "web2/db.example"]);
  });

  test("a host whose clock is fast does not end the events of the others", async () => {
    const usec = Date.now() * 1000;
    for (const [user, time] of [
      ["web2", usec + 36e8],
      ["web1", usec],
    ] as const) {
      const nats = await fleet.connect(user);
      const event = { type: "machine", event: "started", machine: "clock", time, host: user };
      await jetstream(nats).publish(`machined.events.${user}.machine`, JSON.stringify(event));
      await nats.close();
    }
    expect(told(await events("--since=-10min", "--until=+10min", "clock"))).toEqual([
      "web2 started clock",
      "web1 started clock",
    ]);
  });

  test("a time after which there can be no events is no error", async () => {
    // Microseconds, as events have them, in place of seconds.
    const words = ["events", "--no-follow", "--since=@1795828416674092"];
    const { stdout, stderr, status } = await fleet.machinectl("reader", ...words);
    expect([stdout, stderr, status]).toEqual(["", "", 0]);
  });
});
