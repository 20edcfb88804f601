import { expect, test } from "bun:test";
import { appendFileSync, cpSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { watchPath } from "../../../src/kernel/event/inotify.ts";
import { type Ready, watch, watchCount } from "../../../src/kernel/event/poller.ts";
import { readSome, writeSome } from "../../../src/kernel/file/byte-io.ts";
import { Fd, openPath } from "../../../src/kernel/file/fd.ts";
import { openPipe } from "../../../src/kernel/process/pipe.ts";
import { socketPair } from "../../../src/kernel/socket/unix.ts";
import { sys } from "../../../src/kernel/syscall/sys.ts";
import { openPty, openPtyPeer } from "../../../src/kernel/terminal/pty.ts";
import { expectNothingLeft, openDescriptors } from "../../lib/descriptors.ts";
import { GUARD_MS, WAIT_MS } from "../../lib/wait-for.ts";
import { MANY, received, reported, rootTest, runScript, scratchDirectory, until } from "../support.ts";

const directory = scratchDirectory();
const ONE = Buffer.from(new BigUint64Array([1n]).buffer);

/**
 * Whether the poller's thread waits for the loop: an epoll of this process holds another one,
 * armed. It uses nothing outside itself, because scripts of these tests contain its text.
 */
function isThreadWaiting(): boolean {
  const { readdirSync, readFileSync, readlinkSync } = process.getBuiltinModule("node:fs");
  const isEpoll = (fd: string) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`) === "anon_inode:[eventpoll]";
    } catch {
      return false; // the descriptor of the directory listing itself
    }
  };
  return readdirSync("/proc/self/fdinfo")
    .filter(isEpoll)
    .some((fd) =>
      [...readFileSync(`/proc/self/fdinfo/${fd}`, "latin1").matchAll(/^tfd:\s+(\d+) events:\s+([0-9a-f]+)/gm)].some(
        ([, target = "", events = "0"]) => isEpoll(target) && (Number.parseInt(events, 16) & 1) === 1,
      ),
    );
}

/** Returns a statement for scripts that runs another statement as soon as the thread waits for the loop. */
const whenThreadWaits = (statement: string) => `
  ${isThreadWaiting}
  const looking = setInterval(() => {
    if (!isThreadWaiting()) return;
    clearInterval(looking);
    ${statement}
  }, 1);
`;

/** Resolves with the first readiness of `fd`, and stops watching. */
function firstReady(fd: Fd, interest: { read?: boolean; write?: boolean }): Promise<Ready> {
  const { promise, resolve } = Promise.withResolvers<Ready>();
  const watching = watch(fd, interest, (ready) => {
    watching.stop();
    resolve(ready);
  });
  return promise;
}

test("descriptors are reported that are ready at the start, and that become ready later", async () => {
  using event = Fd.adopt(sys("eventfd2", 1, 0x80800));
  expect(await firstReady(event, { read: true })).toEqual({
    read: true,
    readEnd: false,
    write: false,
    hangup: false,
    error: false,
  });
  expect(await firstReady(event, { read: true, write: true })).toMatchObject({ read: true, write: true });
  readSome(event);
  const later = firstReady(event, { read: true });
  writeSome(event, ONE);
  expect((await later).read).toBe(true);
  expect(watchCount()).toBe(0);
});

test("what a descriptor is watched for can be changed; what is ready already is reported then", async () => {
  using event = Fd.adopt(sys("eventfd2", 1, 0x80800));
  const reports: Ready[] = [];
  const watching = watch(event, {}, (ready) => reports.push(ready));
  watching.change({ write: true });
  await until(() => reports.length === 1, "the first report");
  watching.change({ read: true });
  await until(() => reports.length === 2, "the second report");
  expect(reports.map(({ read, write }) => [read, write])).toEqual([
    [false, true],
    [true, false],
  ]);
  watching.stop();
  watching.change({ write: true });
  expect(watchCount()).toBe(0);
});

test("a pipe wakes the event loop also after a long sleep", async () => {
  const [read, write] = openPipe();
  const first = firstReady(read, { read: true });
  await until(isThreadWaiting, "the thread to take over");
  writeSome(write, Buffer.from("x"));
  expect((await first).read).toBe(true);
  write.close();
  expect((await firstReady(read, { read: true })).hangup).toBe(true);
  read.close();
});

rootTest("terminals report bytes and hang-up, inotify changes", async () => {
  const { master } = openPty();
  const peer = openPtyPeer(master);
  const typed = firstReady(master, { read: true });
  writeSome(peer, Buffer.from("hello"));
  expect((await typed).read).toBe(true);
  expect(await received(master, 5)).toBe("hello");
  const over = firstReady(master, { read: true });
  peer.close();
  expect((await over).hangup).toBe(true);
  master.close();
  const path = join(directory, "watched");
  writeFileSync(path, "");
  const { promise, resolve } = Promise.withResolvers<void>();
  using _watch = watchPath(path, ["modify"], () => resolve());
  appendFileSync(path, "x");
  await promise;
});

test("closing an Fd stops its watch, and stopping that watch again does not affect the next file with the same number", async () => {
  const calls: string[] = [];
  const first = Fd.adopt(sys("eventfd2", 0, 0x80800));
  const { number } = first;
  const watching = watch(first, { read: true }, () => calls.push("first"));
  first.close();
  expect(watchCount()).toBe(0);
  using second = Fd.adopt(sys("eventfd2", 0, 0x80800));
  expect(second.number).toBe(number);
  using _watch = watch(second, { read: true }, () => calls.push("second"));
  watching.stop();
  writeSome(second, ONE);
  await until(() => calls.length > 0, "the second watch");
  expect(calls).toEqual(["second"]);
});

test("a callback may stop another watch whose event was read in the same batch", async () => {
  const calls: number[] = [];
  const events = [1, 2].map(() => Fd.adopt(sys("eventfd2", 1, 0x80800)));
  const watches = events.map((fd, index) =>
    watch(fd, { read: true }, () => {
      calls.push(index);
      for (const other of watches) other.stop();
    }),
  );
  await until(() => calls.length > 0, "one of the two");
  await reported();
  expect(calls.length).toBe(1);
  for (const fd of events) fd.close();
});

test("watching a descriptor twice, or a regular file, is an error", () => {
  using event = Fd.adopt(sys("eventfd2", 0, 0x80800));
  using _watch = watch(event, { read: true }, () => {});
  expect(() => watch(event, { read: true }, () => {})).toThrow("File exists");
  using file = openPath("/etc/passwd", "read");
  expect(() => watch(file, { read: true }, () => {})).toThrow("Operation not permitted");
  expect(watchCount()).toBe(1);
});

test(
  "watching and stopping many times leaks nothing, and no event is lost",
  async () => {
    const before = openDescriptors();
    for (let i = 0; i < MANY; i++) {
      using event = Fd.adopt(sys("eventfd2", 1, 0x80800));
      watch(event, { read: true }, () => {}).stop();
      if (i % 2 === 0) watch(event, { read: true }, () => {});
    }
    expect(watchCount()).toBe(0);
    expectNothingLeft(before);
    const [a, b] = socketPair();
    let rounds = 0;
    const { promise, resolve } = Promise.withResolvers<void>();
    const echo = (fd: Fd) => () => {
      for (let bytes = readSome(fd); bytes !== null && bytes.length > 0; bytes = readSome(fd)) {
        if (++rounds >= MANY) return resolve();
        writeSome(fd, bytes);
      }
    };
    watch(a, { read: true }, echo(a));
    watch(b, { read: true }, echo(b));
    writeSome(a, Buffer.from("x"));
    await promise;
    a.close();
    b.close();
  },
  GUARD_MS,
);

const CHECK_LIFE = `
  import { socketPair } from "./kernel/socket/unix.ts";
  import { watch } from "./kernel/event/poller.ts";
  import { readSome, writeSome } from "./kernel/file/byte-io.ts";
  const [a, b] = socketPair();
  process.on("uncaughtException", (error) => console.log("reported:", error.message));
  let count = 0;
  const watching = watch(a, { read: true }, () => {
    readSome(a);
    if (++count === 1) throw new Error("boom");
    console.log("went on");
    watching.stop();
  });
  writeSome(b, Buffer.from("1"));
  LATER
`;

test("a callback that throws is reported and the loop continues; the process exits when no watch is left", async () => {
  const write = 'writeSome(b, Buffer.from("2"));';
  for (const later of [`setImmediate(() => { ${write} });`, whenThreadWaits(write)]) {
    const { stdout, stderr, exitCode } = await runScript(CHECK_LIFE.replace("LATER", () => later));
    expect({ stdout, stderr, exitCode }).toEqual({ stdout: "reported: boom\nwent on\n", stderr: "", exitCode: 0 });
  }
});

test("process.exit() ends a process whose thread is waiting", async () => {
  const { stdout, exitCode } = await runScript(`
    import { socketPair } from "./kernel/socket/unix.ts";
    import { watch } from "./kernel/event/poller.ts";
    const [a] = socketPair();
    watch(a, { read: true }, () => {});
    ${whenThreadWaits("process.exit(7);")}
  `);
  expect({ stdout, exitCode }).toEqual({ stdout: "", exitCode: 7 });
});

test("where the engine cannot watch the thread's socket, the thread starts later, and nothing stays open", async () => {
  const run = (failures: number) =>
    runScript(`
      import { readlinkSync } from "node:fs";
      import { descriptorsTo } from ${JSON.stringify(join(import.meta.dir, "../../lib/descriptors.ts"))};
      import { socketPair } from "./kernel/socket/unix.ts";
      import { writeSome } from "./kernel/file/byte-io.ts";
      import { watch } from "./kernel/event/poller.ts";
      const connect = Bun.connect;
      let failures = ${failures};
      let refused = "none";
      Bun.connect = (options) => {
        if (failures-- <= 0) return connect(options);
        refused = readlinkSync("/proc/self/fd/" + options.fd);
        return Promise.reject(new Error("Failed to connect"));
      };
      const [a, b] = socketPair();
      watch(a, { read: true }, () => {
        console.log(failures, descriptorsTo(refused));
        process.exit();
      });
      ${whenThreadWaits('writeSome(b, Buffer.from("1"));')}
    `);
  for (const failures of [0, 1]) expect(await run(failures)).toMatchObject({ stdout: "-1 0\n", stderr: "" });
});

test("attempts to start the thread map its code once", async () => {
  // A thread whose epoll is no descriptor ends at once.
  const { stdout, stderr } = await runScript(`
    import { readFileSync } from "node:fs";
    import { startWaitingThread } from "./kernel/event/waiting-thread.ts";
    const ranges = () => [...readFileSync("/proc/self/maps", "latin1").matchAll(/^(\\w+)-(\\w+) r-xp 0+ 00:00 0/gm)];
    const size = () => ranges().reduce((sum, [, from, to]) => sum + Number("0x" + to) - Number("0x" + from), 0);
    const isStarted = startWaitingThread(-1, -1);
    const before = size();
    for (let i = 0; i < 32; i++) startWaitingThread(-1, -1);
    console.log(isStarted, size() - before < 32 * 65536);
  `);
  expect({ stdout, stderr }).toEqual({ stdout: "true true\n", stderr: "" });
});

test(
  "a compiled executable can start its poller thread",
  async () => {
    const sources = join(directory, "src");
    const kernel = join(import.meta.dir, "../../../src");
    mkdirSync(sources);
    for (const part of ["kernel", "base"]) cpSync(join(kernel, part), join(sources, part), { recursive: true });
    writeFileSync(join(sources, "main.ts"), 'await import("./program.ts");\n');
    writeFileSync(
      join(sources, "program.ts"),
      CHECK_LIFE.replace("LATER", () => whenThreadWaits('writeSome(b, Buffer.from("2"));')),
    );
    const options = ["--compile", "--minify", "--bytecode", "--format=esm", "--splitting"];
    const outfile = join(directory, "program");
    const main = join(sources, "main.ts");
    const built = Bun.spawnSync([process.execPath, "build", ...options, main, "--outfile", outfile]);
    expect(built.exitCode).toBe(0);
    const run = Bun.spawnSync([outfile], { cwd: "/", timeout: WAIT_MS });
    expect(run.stdout.toString()).toBe("reported: boom\nwent on\n");
    expect(run.exitCode).toBe(0);
  },
  GUARD_MS,
);
