// `machined bridge`: the daemon of a host without a bus, reached by `-H` through a simulated ssh.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmodSync, existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BusClient } from "../../src/ipc/bus/client.ts";
import { bridgeCommand } from "../../src/ipc/bus/transport.ts";
import { readSome } from "../../src/kernel/file/byte-io.ts";
import { setNonblocking } from "../../src/kernel/file/fd.ts";
import { openPty, openPtyPeer } from "../../src/kernel/terminal/pty.ts";
import { isRoot, needsRoot, TestDaemon } from "../lib/daemon.ts";
import { waitFor } from "../lib/wait-for.ts";

const MAIN = join(import.meta.dir, "../../src/main.ts");
const MANAGER = { destination: "org.freedesktop.machine1", path: "/org/freedesktop/machine1" };
const MEMBER = { ...MANAGER, interface: "org.freedesktop.machine1.Manager" };

let daemon: TestDaemon;
let directory: string;

function program(name: string, script: string): string {
  const path = join(directory, name);
  writeFileSync(path, `#!/bin/sh\n${script}\n`);
  chmodSync(path, 0o755);
  return path;
}

/** Starts the bridge with a socket as its standard input and output; returns a bus client on the other end. */
async function bridged(): Promise<{ client: BusClient; child: Bun.Subprocess }> {
  const { socketPair } = await import("../../src/kernel/socket/unix.ts");
  const [ours, theirs] = socketPair();
  using other = theirs;
  const env = { ...process.env, MACHINED_RUNTIME_DIRECTORY: daemon.runtime };
  const stdio: [number, number, "ignore"] = [other.number, other.number, "ignore"];
  const child = Bun.spawn([process.execPath, MAIN, "bridge"], { stdio, env });
  return { client: await BusClient.open(ours), child };
}

async function machinectl(...args: string[]): Promise<string> {
  const { MACHINED_RUNTIME_DIRECTORY: _, ...env } = process.env;
  const ssh = program("ssh", `MACHINED_RUNTIME_DIRECTORY=${daemon.runtime} exec ${process.execPath} ${MAIN} bridge`);
  const child = Bun.spawn([process.execPath, MAIN, "machinectl", "-H", "far", ...args], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...env, SYSTEMD_SSH: ssh },
  });
  const [stdout, stderr] = await Promise.all([child.stdout.text(), child.stderr.text()]);
  await child.exited;
  return stdout + stderr;
}

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), "bridge-"));
  daemon = await TestDaemon.start();
});
afterAll(async () => {
  await daemon[Symbol.asyncDispose]();
  rmSync(directory, { recursive: true });
});

describe(`over ssh to a host without a bus${needsRoot}`, () => {
  test.skipIf(!isRoot)("machines are listed, shown, followed and ended", async () => {
    const leader = await daemon.leader();
    const near = await daemon.bus();
    const args = ["far1", Buffer.alloc(0), "test", "container", leader, ""];
    await near.call({ ...MEMBER, member: "RegisterMachine", signature: "sayssus", body: args });
    expect(await machinectl("list", "--no-legend")).toMatch(/^far1 +container +test/);
    expect(await machinectl("show", "far1", "-P", "Leader")).toBe(`${leader}\n`);
    const { client, child } = await bridged();
    const removed = Promise.withResolvers<unknown[]>();
    await client.subscribe({ sender: MANAGER.destination, member: "MachineRemoved" }, removed.resolve);
    expect(await machinectl("terminate", "far1")).toBe("");
    expect((await removed.promise)[0]).toBe("far1");
    client.close();
    expect(await child.exited).toBe(0);
  });

  test("calls to missing services are answered with the errors of a bus", async () => {
    const { client } = await bridged();
    for (const name of ["org.freedesktop.systemd1", "org.freedesktop.import1"]) {
      const answer = client.call({ ...MEMBER, destination: name, member: "ListMachines" });
      expect(await answer.catch((error: { errorName: string }) => error.errorName)).toBe(
        "org.freedesktop.DBus.Error.ServiceUnknown" as never,
      );
    }
    expect(await client.driver("NameHasOwner", "s", [MANAGER.destination])).toEqual([true]);
    client.close();
  });
});

test("a bridge that is stopped and continued loses no call and no answer", async () => {
  const { client, child } = await bridged();
  const names = () => client.call({ ...MEMBER, member: "ListImages" });
  const answers = await Promise.all(Array.from({ length: 2000 }, names));
  expect(answers).toHaveLength(2000);
  child.kill("SIGSTOP");
  // The bridge is stopped: calls wait, and none is answered.
  const waiting = Array.from({ length: 2000 }, names);
  expect(Bun.peek.status(waiting[0] as Promise<unknown>)).toBe("pending");
  child.kill("SIGCONT");
  expect(await Promise.all(waiting)).toHaveLength(2000);
  client.close();
  expect(await child.exited).toBe(0);
});

test("the bridge and its client's connection end with the daemon", async () => {
  const { client, child } = await bridged();
  const over = Promise.withResolvers<void>();
  client.onClose(() => over.resolve());
  await daemon.kill("SIGKILL");
  await over.promise;
  expect(await child.exited).toBe(0);
  const without = Bun.spawn([process.execPath, MAIN, "bridge"], {
    stdio: ["pipe", "pipe", "pipe"],
    env: { ...process.env, MACHINED_RUNTIME_DIRECTORY: directory },
  });
  expect(await without.exited).toBe(1);
  expect(await without.stderr.text()).toStartWith("machined bridge: Cannot reach systemd-machined: ");
  await daemon.run();
});

test("what another host writes to standard error does not control the terminal, and ssh has a terminal there", async () => {
  const { master } = openPty();
  using screen = master;
  setNonblocking(screen);
  const evil = "\\033[2J\\302\\2331m\\342\\200\\256gpj";
  const ssh = program(
    "ssh-evil",
    `[ -t 2 ] && printf 'terminal ' >&2; printf '${evil}\\r\\n${evil}' >&2; printf '${evil}\\r\\n${evil}'; exit 255`,
  );
  for (const [verb, printed] of [
    ["list", 1],
    ["stats", 2],
  ] as const) {
    using peer = openPtyPeer(screen);
    const child = Bun.spawn([process.execPath, MAIN, "machinectl", "-H", "far", verb], {
      stdio: ["ignore", peer.number, peer.number],
      env: { ...process.env, SYSTEMD_SSH: ssh, TERM: "dumb" },
    });
    await child.exited;
    // A terminal delivers in pieces.
    let text = "";
    const shown = () => text.split("\\x1b[2J\\x9b1m\\u202egpj").length - 1;
    await waitFor(() => {
      for (let part = readSome(screen); part !== null; part = readSome(screen)) text += String(part);
      expect(shown()).toBe(2 * printed);
      if (verb === "list") expect(text).toMatch(/\\u202egpjFailed to connect [^\n]+\n$/);
    }, "the terminal");
    expect(text).toContain("terminal ");
    expect(text.replaceAll("\r\n", "")).not.toMatch(/[\p{Cc}\p{Bidi_Control}]/u);
  }
});

test("the other host runs systemd's bridge where it has a bus, or no machined", async () => {
  const says = (name: string) => program(name, `echo ${name} "$@"`);
  const line = (await bridgeCommand({ kind: "ssh", host: "far" })).at(-1) as string;
  const run = async () => {
    const child = Bun.spawn(["/bin/sh", "-c", line], {
      stdio: ["ignore", "pipe", "inherit"],
      env: { PATH: `${directory}:${directory}/none` },
    });
    return child.stdout.text();
  };
  program("sh", 'exec /bin/sh "$@"');
  says("systemd-stdio-bridge");
  expect(await run()).toBe("systemd-stdio-bridge\n");
  says("machined");
  const hasBus = existsSync("/run/dbus/system_bus_socket");
  expect(await run()).toBe(hasBus ? "systemd-stdio-bridge\n" : "machined bridge\n");
});
