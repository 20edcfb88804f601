// A session as its user sees it, on real terminals: machinectl is a child process, the machine manager is simulated.
import { expect, test } from "bun:test";
import { existsSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { open } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { readSome } from "../../../src/kernel/file/byte-io.ts";
import { setNonblocking } from "../../../src/kernel/file/fd.ts";
import { openPipe } from "../../../src/kernel/process/pipe.ts";
import { getWindowSize, makeRaw, setWindowSize } from "../../../src/kernel/terminal/pty.ts";
import { isRoot } from "../../lib/daemon.ts";
import { WAIT_FOR_FULL_PIPE } from "../../lib/full-pipe.ts";
import { havePrograms } from "../../lib/programs.ts";
import { waitFor } from "../../lib/wait-for.ts";
import { PtyWorld } from "./pty-world.ts";

const CONNECTED = "Connected to machine alpha. Press ^] three times within 1s to exit session.";
const OVER = "Connection to machine alpha terminated.";
const KEY = "\u001d";

async function connected(world: PtyWorld): Promise<void> {
  await world.shows(CONNECTED);
  await waitFor(() => expect(getWindowSize(world.program).rows).toBeGreaterThan(0), "the session");
}

test("C87 C95 the program's output is shown between two lines that name the machine; the exit status is 0", async () => {
  await using world = new PtyWorld(["shell", "alpha", "/bin/x"], { env: { TERM: "dumb" } });
  await connected(world);
  world.print("hello\n");
  await world.shows("hello");
  expect(await world.hangUp()).toBe(0);
  expect(world.screen).toBe(`${CONNECTED}\r\nhello\r\n${OVER}\r\n`);
});

test("C95 with -q only the output of the program is printed", async () => {
  await using world = new PtyWorld(["-q", "shell", "alpha", "/bin/x"], { env: { TERM: "dumb" } });
  await waitFor(() => expect(getWindowSize(world.program).rows).toBe(30), "the session");
  world.print("hello\n");
  await world.shows("hello");
  expect(await world.hangUp()).toBe(0);
  expect(world.screen).toBe("hello\r\n");
});

test("the first line of a session on this host says that it is the local host", async () => {
  await using world = new PtyWorld(["shell"], { env: { TERM: "dumb" } });
  await world.shows("Connected to the local host. Press");
  await world.hangUp();
  expect(world.screen).toContain("Connection to the local host terminated.\r\n");
});

test("C101 a missing final newline is added; C100 none is added where nothing was printed", async () => {
  for (const [printed, shown] of [
    ["", ""],
    ["text", "text\r\n"],
    ["line\n", "line\r\n"],
    ["return\r", "return\r\n"],
  ] as const) {
    await using world = new PtyWorld(["-q", "shell", "alpha"], { env: { TERM: "dumb" } });
    await waitFor(() => expect(getWindowSize(world.program).rows).toBe(30), "the session");
    world.print(printed);
    await world.hangUp();
    expect(world.screen).toBe(shown);
  }
});

test("C96 the escape sequence ends the session; the keys before its last one reach the program", async () => {
  await using world = new PtyWorld(["shell", "alpha"]);
  await connected(world);
  makeRaw(world.program);
  world.type(KEY);
  expect(await world.received(1)).toBe(KEY);
  world.type(`${KEY}`);
  expect(await world.received(1)).toBe(KEY);
  world.type(`${KEY}never sent`);
  expect(await world.child.exited).toBe(0);
  expect(readSome(world.program)?.length ?? 0).toBe(0);
  expect(world.screen).toContain(OVER);
});

test("the escape sequence also leaves a command of exec -t that does not end by SIGHUP", async () => {
  await using world = new PtyWorld(["exec-deaf"]);
  await waitFor(() => expect(getWindowSize(world.program).rows).toBe(30), "the session");
  world.type(KEY + KEY + KEY);
  expect(await world.child.exited).toBe(129);
});

test("C97 ^C, ^Z, ^D and every other byte that is typed reach the program", async () => {
  await using world = new PtyWorld(["-q", "shell", "alpha"]);
  await waitFor(() => expect(getWindowSize(world.program).rows).toBe(30), "the session");
  makeRaw(world.program);
  const bytes = `\u0003\u001a\u0004\u0011\u0013\r\n\u0000\u00ff${KEY}x`;
  // Not before the caller's terminal is in raw mode: until then ^C signals the client.
  await waitFor(() => {
    world.type("x");
    expect(readSome(world.program)?.toString()).toMatch(/^x+$/);
  }, "a raw terminal");
  world.type(bytes);
  expect((await world.received(bytes.length)).replace(/^x+/, "")).toBe(bytes);
});

test("C98 the program's terminal has the size of the caller's, at the start and after changes", async () => {
  await using world = new PtyWorld(["-q", "shell", "alpha"], { size: { rows: 27, columns: 91 } });
  await waitFor(() => expect(getWindowSize(world.program)).toEqual({ rows: 27, columns: 91 }), "the size");
  setWindowSize(world.seat, { rows: 20, columns: 60 });
  await waitFor(() => {
    world.child.kill("SIGWINCH");
    expect(getWindowSize(world.program)).toEqual({ rows: 20, columns: 60 });
  }, "the new size");
});

test("C98 without a terminal the size is that of $LINES and $COLUMNS, or 24 by 80", async () => {
  for (const [env, size] of [
    [
      { COLUMNS: "77", LINES: "13" },
      { rows: 13, columns: 77 },
    ],
    [
      { COLUMNS: "0", LINES: "x" },
      { rows: 24, columns: 80 },
    ],
  ] as const) {
    await using world = new PtyWorld(["-q", "shell", "alpha"], { stdin: "ignore", stdout: "pipe", env });
    await waitFor(() => expect(getWindowSize(world.program)).toEqual(size), "the size");
  }
});

for (const [how, end, status] of [
  ["the program hangs up", (world: PtyWorld) => world.program.close(), 0],
  ["SIGTERM", (world: PtyWorld) => world.child.kill("SIGTERM"), 0],
  ["SIGINT", (world: PtyWorld) => world.child.kill("SIGINT"), 0],
  ["SIGHUP", (world: PtyWorld) => world.child.kill("SIGHUP"), 129],
  ["SIGQUIT", (world: PtyWorld) => world.child.kill("SIGQUIT"), 131],
  ["the escape sequence", (world: PtyWorld) => world.type(KEY + KEY + KEY), 0],
] as const) {
  test(`C99 the terminal's settings are restored when ${how} ends the session`, async () => {
    await using world = new PtyWorld(["shell", "alpha"]);
    const before = world.settings;
    await connected(world);
    await waitFor(() => expect(world.settings).not.toBe(before), "a raw terminal");
    end(world);
    expect(await world.child.exited).toBe(status);
    expect(world.settings).toBe(before);
  });
}

test("the terminal is in raw mode again after the session was stopped and continued", async () => {
  await using world = new PtyWorld(["-q", "shell", "alpha"]);
  const before = world.settings;
  await waitFor(() => expect(world.settings).not.toBe(before), "a raw terminal");
  const raw = world.settings;
  world.child.kill("SIGSTOP");
  Bun.spawnSync(["stty", "sane"], { stdin: world.own.number });
  expect(world.settings).not.toBe(raw);
  world.child.kill("SIGCONT");
  await waitFor(() => expect(world.settings).toBe(raw), "a raw terminal again");
});

test("C102 a login session continues when its program closes the terminal, C103 C104 and ends with its machine", async () => {
  await using world = new PtyWorld(["login", "alpha"], { env: { TERM: "dumb" }, isShared: true });
  await connected(world);
  world.print("logout\n");
  await world.shows("logout");
  world.replaceProgram();
  world.print("login: ");
  await world.shows("login: ");
  world.child.kill("SIGUSR2");
  expect(await world.hangUp()).toBe(0);
  expect(world.screen).toEndWith("login: \r\nMachine alpha terminated.\r\n");
});

test("C104 when the user leaves a login session, the message says that the connection ended, not the machine", async () => {
  await using world = new PtyWorld(["login", "alpha"], { env: { TERM: "dumb" } });
  await connected(world);
  await waitFor(() => {
    world.type(KEY + KEY + KEY);
    expect(world.screen).toContain(OVER);
  }, "the end");
  expect(await world.child.exited).toBe(0);
});

test("C107 C108 a terminal gets the OSC 3008 context of the session and is reset afterwards; no background colour is set", async () => {
  await using world = new PtyWorld(["shell", "alpha"], { env: { TERM: "xterm-256color" } });
  await connected(world);
  world.print("x\n");
  await world.shows("x\r\n");
  expect(await world.hangUp()).toBe(0);
  const esc = "\u001b";
  const pattern = new RegExp(
    `^${CONNECTED.replaceAll(/[.^\]]/g, "\\$&")}\r\r?\n${esc}\\]3008;start=([0-9a-f]{32});user=[^;]+;hostname=[^;]+;` +
      `(machineid=[0-9a-f]{32};)?bootid=[0-9a-f]{32};pid=\\d+;(pidfdid=\\d+;)?comm=machinectl;container=alpha;` +
      `type=container${esc}\\\\x\r\n${esc}\\[!p${esc}\\]104${esc}\\\\${esc}\\[0m${esc}\\[\\?7h` +
      `${esc}\\[1G${esc}\\[0J${OVER.replaceAll(".", "\\.")}\r\r?\n${esc}\\]3008;end=\\1${esc}\\\\$`,
  );
  expect(world.screen).toMatch(pattern);
  expect(world.screen).not.toContain("]11;");
});

test("C107 a dumb terminal, a pipe and a terminal without colours get no OSC 3008 context", async () => {
  await using dumb = new PtyWorld(["shell", "alpha"], { env: { TERM: "dumb" } });
  await connected(dumb);
  await dumb.hangUp();
  expect(dumb.screen).not.toContain("\u001b");
  for (const env of [{ NO_COLOR: "1" }, { SYSTEMD_COLORS: "0" }]) {
    await using plain = new PtyWorld(["shell", "alpha"], { env: { TERM: "xterm", ...env } });
    await connected(plain);
    await plain.hangUp();
    expect(plain.screen).not.toContain("\u001b");
  }
});

test("with -q no escape sequence is added to a program's output, but the OSC 3008 context of a user's shell is still sent", async () => {
  const env = { TERM: "xterm-256color" };
  await using program = new PtyWorld(["-q", "shell", "alpha", "/bin/true"], { env });
  program.print("x\n");
  await program.shows("x\r\n");
  await program.hangUp();
  expect(program.screen).toBe("x\r\n");
  await using interactive = new PtyWorld(["-q", "shell", "alpha"], { env });
  interactive.print("x\n");
  await interactive.shows("x\r\n");
  await interactive.hangUp();
  expect(interactive.screen).toContain("]3008;");
});

test("the program receives the input of a pipe, and its end", async () => {
  await using world = new PtyWorld(["-q", "shell", "alpha"], {
    stdin: new Blob(["one\ntwo"]),
    stdout: "pipe",
    isSilent: true,
    run: ["sh", "-c", "cat; echo over"],
  });
  expect(await new Response(world.child.stdout as ReadableStream).text()).toBe("one\r\ntwoover\r\n");
  expect(await world.child.exited).toBe(0);
});

test("programs that read the terminal one after another each receive the end of file", async () => {
  await using world = new PtyWorld(["-q", "shell", "alpha"], {
    stdin: new Blob(["first\n"]),
    stdout: "pipe",
    isSilent: true,
    run: ["sh", "-c", "cat; cat; cat; echo over"],
  });
  expect(await new Response(world.child.stdout as ReadableStream).text()).toBe("first\r\nover\r\n");
});

test("the program receives the end of a file and of /dev/null", async () => {
  const directory = mkdtempSync(join(tmpdir(), "machinectl-pty-"));
  const file = join(directory, "input");
  writeFileSync(file, "from\na file\n");
  const choices = { stdout: "pipe", isSilent: true, run: ["sh", "-c", "cat; echo over"] } as const;
  await using empty = new PtyWorld(["-q", "shell", "alpha"], { ...choices, stdin: "ignore" });
  expect(await new Response(empty.child.stdout as ReadableStream).text()).toBe("over\r\n");
  await using full = new PtyWorld(["-q", "shell", "alpha"], { ...choices, stdin: Bun.file(file) });
  expect(await new Response(full.child.stdout as ReadableStream).text()).toBe("from\r\na file\r\nover\r\n");
  rmSync(directory, { recursive: true });
});

test("input is not sent before the program runs, because the service manager flushes the terminal first", async () => {
  const gate = join(mkdtempSync(join(tmpdir(), "machinectl-pty-")), "gate");
  Bun.spawnSync(["mkfifo", gate]);
  const flush = "import sys,termios; open(sys.argv[1]).read(); termios.tcflush(0, termios.TCIOFLUSH)";
  await using world = new PtyWorld(["-q", "shell", "alpha"], {
    stdin: new Blob(["kept\n"]),
    stdout: "pipe",
    // As the service manager's child does before it executes the program; its name is in parentheses.
    run: ["sh", "-c", `printf '(sh)' >/proc/$$/comm; python3 -c '${flush}' ${gate}; exec cat`],
    isSilent: true,
  });
  // The client polls for the program: after some polls it has had the chance to send too early.
  const looks = () =>
    Number(/^voluntary_ctxt_switches:\t(\d+)/m.exec(readFileSync(`/proc/${world.child.pid}/status`, "latin1"))?.[1]);
  const writer = await open(gate, "w");
  const before = looks();
  await waitFor(() => expect(looks()).toBeGreaterThan(before + 20), "the client to look");
  await writer.close();
  rmSync(dirname(gate), { recursive: true });
  expect(await new Response(world.child.stdout as ReadableStream).text()).toBe("kept\r\n");
});

const canHide = isRoot && havePrograms("input of users without sight of processes", "unshare", "setpriv");
const HIDING = 'mount -t proc -o hidepid=1 proc /proc && exec setpriv --reuid=65534 --regid=65534 --clear-groups "$@"';

test.skipIf(!canHide)("input is sent also where /proc does not show who the program is", async () => {
  await using world = new PtyWorld(["-q", "shell", "alpha", "/bin/x"], {
    ...{ stdin: new Blob(["given\n"]), stdout: "pipe", run: ["cat"], isSilent: true },
    by: ["unshare", "--mount", "sh", "-c", HIDING, "sh"],
  });
  const [stdout, stderr] = [world.child.stdout, world.child.stderr] as ReadableStream[];
  expect([await new Response(stdout).text(), await new Response(stderr).text()]).toEqual(["given\r\n", ""]);
  expect(await world.child.exited).toBe(0);
});

test("output is complete in a pipe that is read late, and in a file", async () => {
  const directory = mkdtempSync(join(tmpdir(), "machinectl-pty-"));
  const file = join(directory, "output");
  writeFileSync(file, "before\n");
  const run = ["sh", "-c", "stty -opost; yes 0123456789 | head -c 3000000; echo"];
  const [read, write] = openPipe();
  for (const end of [read, write]) setNonblocking(end, "off");
  const reader = Bun.spawn(["sh", "-c", `${WAIT_FOR_FULL_PIPE}; wc -c`], { stdin: read.number, stdout: "pipe" });
  await using slow = new PtyWorld(["-q", "shell", "alpha"], { stdin: "ignore", stdout: write.number, run });
  read.close();
  write.close();
  expect((await reader.stdout.text()).trim()).toBe("3000001");
  expect(await slow.child.exited).toBe(0);
  await using append = new PtyWorld(["-q", "shell", "alpha"], {
    stdin: "ignore",
    stdout: openSync(file, "a"),
    run: ["sh", "-c", "stty -opost; head -c 100000 /dev/zero; echo"],
  });
  expect(await append.child.exited).toBe(0);
  expect(readFileSync(file).length).toBe(100_001 + "before\n".length);
  rmSync(directory, { recursive: true });
});

test("output that is read late is complete also where the machine ends meanwhile, and its terminal does not hang up", async () => {
  const directory = mkdtempSync(join(tmpdir(), "machinectl-pty-"));
  const done = join(directory, "done");
  const run = ["sh", "-c", `stty -opost -echo; yes 0123456789 | head -c 70000; touch "${done}"; exec cat`];
  const [read, write] = openPipe();
  for (const end of [read, write]) setNonblocking(end, "off");
  await using slow = new PtyWorld(["ended"], { stdin: "ignore", stdout: write.number, run });
  write.close();
  await waitFor(() => expect(existsSync(done)).toBe(true), "the end of the program's output");
  const full = Bun.spawn(["sh", "-c", WAIT_FOR_FULL_PIPE], { stdin: read.number });
  await full.exited;
  slow.child.kill("SIGUSR2");
  const reader = Bun.spawn(["wc", "-c"], { stdin: read.number, stdout: "pipe" });
  read.close();
  expect((await reader.stdout.text()).trim()).toBe("70000");
  expect(await slow.child.exited).toBe(0);
  rmSync(directory, { recursive: true });
});

test("the session ends when the reader of its output closes the pipe", async () => {
  await using world = new PtyWorld(["-q", "shell", "alpha"], { stdin: "ignore", stdout: "pipe", run: ["yes"] });
  const reader = (world.child.stdout as ReadableStream).getReader();
  await reader.read();
  await reader.cancel();
  expect(await world.child.exited).toBe(0);
});

test.each([
  ["shell", ["-q", "shell", "alpha"], 1],
  ["exec -t", ["exec"], 125],
] as const)("output of %s that cannot be written is an error, and ends the session", async (_verb, args, status) => {
  await using world = new PtyWorld(args, {
    stdin: "ignore",
    stdout: openSync("/dev/full", "w"),
    run: ["yes"],
  });
  expect(await world.child.exited).toBe(status);
  expect(await new Response(world.child.stderr as ReadableStream).text()).toContain(
    "Failed to write output: No space left on device\n",
  );
});
