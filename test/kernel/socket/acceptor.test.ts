import { expect, test } from "bun:test";
import { join } from "node:path";
import type { Fd } from "../../../src/kernel/file/fd.ts";
import { Acceptor } from "../../../src/kernel/socket/acceptor.ts";
import { SocketStream, type StreamHandlers } from "../../../src/kernel/socket/stream.ts";
import { connectUnix, listenUnix, passCredentials, sendMessage } from "../../../src/kernel/socket/unix.ts";
import { expectNothingLeft, openDescriptors } from "../../lib/descriptors.ts";
import { runScript, scratchDirectory, until } from "../support.ts";

const directory = scratchDirectory();

test("many connections are accepted a few at a time, and the event loop does other work in between", async () => {
  const before = openDescriptors();
  const path = join(directory, "crowd");
  const accepted: Fd[] = [];
  let sinceTurn = 0;
  let most = 0;
  const acceptor = new Acceptor(listenUnix(path), {
    welcome: (socket) => {
      accepted.push(socket);
      most = Math.max(most, ++sinceTurn);
    },
  });
  const clients = Array.from({ length: 300 }, () => connectUnix(path));
  let isOver = false;
  const turn = () => {
    sinceTurn = 0;
    if (!isOver) setImmediate(turn);
  };
  turn();
  await until(() => accepted.length === clients.length, "everybody");
  isOver = true;
  expect(most).toBeLessThan(20);
  for (const fd of [...clients, ...accepted]) fd.close();
  acceptor.close();
  expectNothingLeft(before);
});

test("connections of a socket unit with PassCredentials= deliver bytes without credentials", async () => {
  const path = join(directory, "credentials");
  const listener = listenUnix(path);
  passCredentials(listener);
  const seen: string[] = [];
  const handlers: StreamHandlers = {
    data: (bytes) => seen.push(bytes.toString()),
    end: (error) => seen.push(error?.message ?? "end"),
  };
  using _acceptor = new Acceptor(listener, { welcome: (socket) => void new SocketStream(socket, handlers) });
  using client = connectUnix(path);
  sendMessage(client, Buffer.from("x"));
  await until(() => seen.length > 0, "the bytes");
  client.close();
  await until(() => seen.length > 1, "the end");
  expect(seen).toEqual(["x", "end"]);
});

/** Runs in a process that may open 100 files: `fill()` opens files up to the limit, `free()` closes them. */
function short(body: string) {
  return runScript(`
    import { Acceptor } from "./kernel/socket/acceptor.ts";
    import { openPath } from "./kernel/file/fd.ts";
    import { connectUnix, listenUnix } from "./kernel/socket/unix.ts";
    import { readdirSync, readFileSync, readlinkSync } from "node:fs";
    const infoOf = (fd) => { try { return readFileSync("/proc/self/fdinfo/" + fd, "utf8"); } catch { return ""; } };
    const linkOf = (fd) => { try { return readlinkSync("/proc/self/fd/" + fd); } catch { return ""; } };
    Bun.spawnSync(["prlimit", "--pid", String(process.pid), "--nofile=100:100"]);
    const fillers = [];
    const fill = () => { try { for (;;) fillers.push(openPath("/dev/null", "read")); } catch {} };
    const free = () => { for (const fd of fillers.splice(0)) fd.close(); };
    const path = ${JSON.stringify(join(directory, "short"))};
    const seen = { calm: 0, short: 0, failed: 0 };
    const accepted = [];
    const until = async (condition) => { while (!condition()) await Bun.sleep(1); };
    const acceptor = new Acceptor(listenUnix(path), {
      welcome: (socket, isShort) => { accepted.push(socket); seen[isShort ? "short" : "calm"]++; },
      failed: () => seen.failed++,
    });
    // The poller's thread is there before nothing can be opened any more: one epoll then holds another.
    const polls = () => readdirSync("/proc/self/fd").filter((fd) => linkOf(fd).includes("eventpoll"));
    const inner = (fd) => (infoOf(fd).match(/^tfd: +\\d+/gm) ?? []).map((line) => line.replace(/\\D+/, ""));
    await until(() => polls().some((fd) => inner(fd).some((other) => polls().includes(other))));
    const warm = connectUnix(path);
    await until(() => accepted.length === 1);
    for (const fd of [warm, ...accepted.splice(0)]) fd.close();
    seen.calm = 0;
    const clients = Array.from({ length: 5 }, () => connectUnix(path));
    fill();
    await until(() => seen.failed > 0);
    ${body}
    console.log(JSON.stringify(seen));
    process.exit(0);
  `);
}

test("a connection that arrives while descriptors are exhausted is accepted when one is free", async () => {
  const { stdout, stderr } = await short(`
    if (accepted.length !== 0) throw new Error("accepted without descriptors?");
    free();
    await until(() => accepted.length === 5);
  `);
  expect(stderr).toBe("");
  expect(JSON.parse(stdout)).toEqual({ calm: 5, short: 0, failed: 1 });
});

test("while descriptors stay exhausted, one connection at a time is accepted on a reserved descriptor", async () => {
  const { stdout, stderr } = await short(`
    await until(() => seen.short === 1);
    accepted.splice(0)[0].close();
    await until(() => seen.short + seen.calm === 2);
    free();
    await until(() => seen.short + seen.calm === 5);
  `);
  expect(stderr).toBe("");
  const { calm, short: onReserve, failed } = JSON.parse(stdout);
  expect([calm + onReserve, onReserve >= 1, failed >= 1]).toEqual([5, true, true]);
});
