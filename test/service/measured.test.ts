// The machines that `machinectl stats` and `top` measure, while machines start, end and start again.
import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { processPorts } from "../../src/cli/session/process-ports.ts";
import { Session } from "../../src/cli/session/session.ts";
import { defaultSettings } from "../../src/cli/session/settings.ts";
import { MeasuredMachines } from "../../src/cli/stats/machines.ts";
import { readSome, writeSome } from "../../src/kernel/file/byte-io.ts";
import { openPty, openPtyPeer } from "../../src/kernel/terminal/pty.ts";
import { errorOf, isRoot, manager, needsRoot, register, TestDaemon } from "../lib/daemon.ts";
import { expectNothingLeft, LEAK_ROUNDS, openDescriptors } from "../lib/descriptors.ts";
import { waitFor } from "../lib/wait-for.ts";

const MAIN = join(import.meta.dir, "../../src/main.ts");

async function sessionOf(daemon: TestDaemon): Promise<Session> {
  const env = { ...process.env, MACHINED_RUNTIME_DIRECTORY: daemon.runtime };
  return new Session(defaultSettings(), { ...(await processPorts()), env });
}

test.skipIf(!isRoot)(`a machine that was started again is measured from zero${needsRoot}`, async () => {
  await using daemon = await TestDaemon.start();
  const bus = await daemon.bus();
  const session = await sessionOf(daemon);
  using machines = new MeasuredMachines(session, ["one"]);
  const first = await daemon.leader();
  await register(bus, "one", first);
  await machines.refresh();
  machines.read();
  process.kill(first, "SIGKILL");
  await waitFor(() => errorOf(manager(bus, "GetMachine", "s", "one")), "the machine's end");
  const second = await daemon.leader();
  await register(bus, "one", second);
  await machines.refresh();
  expect(machines.factsOf("one")?.leaderPid).toBe(second);
  process.kill(second, "SIGKILL");
  await waitFor(() => errorOf(manager(bus, "GetMachine", "s", "one")), "the machine's end");
  // Only the first call throws: a machine that was named may start again later.
  for (let count = 0; count < 2; count++) await machines.refresh();
  expect(machines.read()).toEqual([]);
  await session.close();
});

test.skipIf(!isRoot)(`simultaneous calls, and an end during a call, leave no file open${needsRoot}`, async () => {
  await using daemon = await TestDaemon.start();
  await register(await daemon.bus(), "one", await daemon.leader("--net"));
  const session = await sessionOf(daemon);
  {
    using warm = new MeasuredMachines(session, []);
    await warm.refresh();
  }
  const before = openDescriptors();
  for (let i = 0; i < LEAK_ROUNDS; i++) {
    using machines = new MeasuredMachines(session, []);
    await Promise.all([machines.refresh(), machines.refresh()]);
    expect(machines.read().map(({ machine }) => machine)).toEqual(["one"]);
  }
  expectNothingLeft(before);
  for (let i = 0; i < LEAK_ROUNDS; i++) {
    const ended = new MeasuredMachines(session, []);
    const refreshing = ended.refresh();
    ended[Symbol.dispose]();
    await refreshing;
  }
  expectNothingLeft(before);
  await session.close();
});

test.skipIf(!isRoot)(`stats ends when nobody reads its output any more${needsRoot}`, async () => {
  await using daemon = await TestDaemon.start();
  await register(await daemon.bus(), "one", await daemon.leader());
  // The shell waits for both ends of the pipe.
  const stats = '{ "$@" machinectl stats --iterations=100000 --delay=10ms; echo "status $?"  >&2; } | head -1';
  const child = Bun.spawn(["sh", "-c", stats, "sh", process.execPath, MAIN], {
    env: { PATH: process.env["PATH"] ?? "", MACHINED_RUNTIME_DIRECTORY: daemon.runtime },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const [stdout, stderr] = await Promise.all([child.stdout.text(), child.stderr.text()]);
  expect(stdout).toStartWith("MACHINE ");
  expect(stderr).toBe("status 0\n");
});

test.skipIf(!isRoot)(`top ends when its terminal can no longer be read${needsRoot}`, async () => {
  await using daemon = await TestDaemon.start();
  await register(await daemon.bus(), "one", await daemon.leader());
  using seat = openPty().master;
  using own = openPtyPeer(seat);
  // A background process group that no shell could bring to the foreground: read(2) fails with EIO.
  const top = `"${process.execPath}" "${MAIN}" machinectl top 2>"$ERRORS"`;
  const script = `trap "" TTOU; exec 3<&0; (set -m; { ${top}; echo "status $?" >>"$ERRORS"; } <&3 & ); exec sleep 1000`;
  const errors = join(daemon.runtime, "errors");
  await using session = Bun.spawn(["setsid", "--ctty", "bash", "-c", script], {
    env: { PATH: process.env["PATH"] ?? "", TERM: "vt220", MACHINED_RUNTIME_DIRECTORY: daemon.runtime, ERRORS: errors },
    stdio: [own.number, own.number, own.number],
  });
  let screen = "";
  await waitFor(() => {
    screen += readSome(seat)?.toString() ?? "";
    expect(screen).toContain("one");
  }, "the machine on the screen");
  writeSome(seat, Buffer.from("m"));
  await waitFor(() => expect(readFileSync(errors, "utf8")).toContain("status"), "the end of top");
  expect(readFileSync(errors, "utf8")).toBe("status 0\n");
  session.kill();
});

test.skipIf(!isRoot)(`top can be left while the manager does not answer${needsRoot}`, async () => {
  await using daemon = await TestDaemon.start();
  using seat = openPty().master;
  using own = openPtyPeer(seat);
  process.kill(daemon.pid, "SIGSTOP");
  await using top = Bun.spawn(["setsid", "--ctty", process.execPath, MAIN, "machinectl", "top"], {
    env: { PATH: process.env["PATH"] ?? "", TERM: "vt220", MACHINED_RUNTIME_DIRECTORY: daemon.runtime },
    stdio: [own.number, own.number, "ignore"],
  });
  try {
    let screen = "";
    await waitFor(() => {
      screen += readSome(seat)?.toString() ?? "";
      expect(screen).toContain("\u001b[?1049h");
    }, "the screen");
    writeSome(seat, Buffer.from("q"));
    expect(await top.exited).toBe(0);
  } finally {
    process.kill(daemon.pid, "SIGCONT");
  }
  expect(readSome(seat)?.toString()).toContain("\u001b[?1049l");
});
