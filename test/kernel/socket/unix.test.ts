import { expect, test } from "bun:test";
import { mkdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Fd, openPath, statFd } from "../../../src/kernel/file/fd.ts";
import {
  acceptPeer,
  bindUnix,
  connectThroughFd,
  connectUnix,
  datagramSocket,
  listenUnix,
  passCredentials,
  peerCredentials,
  peerPidFd,
  receiveMessage,
  sendDatagram,
  sendMessage,
  setSocketBuffers,
  socketPair,
  unixAddress,
} from "../../../src/kernel/socket/unix.ts";
import { pin } from "../../../src/kernel/syscall/mem.ts";
import { expectNothingLeft, LEAK_ROUNDS, openDescriptors } from "../../lib/descriptors.ts";
import { isListening, listenAbstract } from "../../lib/kernel-calls.ts";
import { GUARD_MS } from "../../lib/wait-for.ts";
import { MANY, scratchDirectory, targetOf } from "../support.ts";

const directory = scratchDirectory();
const into = pin(64 * 1024);

function receive(socket: Fd) {
  const received = receiveMessage(socket, into);
  if (typeof received === "string") throw new Error(`got "${received}"`);
  return { text: into.bytes.toString("utf8", 0, received.bytes), fds: received.fds, credentials: received.credentials };
}

test("listening replaces a stale socket, sets the mode, and does not replace other files", () => {
  const path = join(directory, "socket");
  listenUnix(path).close();
  using listener = listenUnix(path, { mode: 0o600 });
  expect(statSync(path).mode & 0o777).toBe(0o600);
  expect(isListening(listener)).toBe(true);
  writeFileSync(join(directory, "file"), "precious");
  expect(() => listenUnix(join(directory, "file"))).toThrow("Address already in use");
  expect(() => listenUnix(join(directory, "no/such/socket"))).toThrow("No such file or directory");
});

test("a connection is accepted once, and has its peer's credentials", () => {
  const path = join(directory, "accept");
  using listener = listenUnix(path);
  expect(acceptPeer(listener)).toBeNull();
  using client = connectUnix(path);
  using server = acceptPeer(listener) as Fd;
  expect(acceptPeer(listener)).toBeNull();
  expect(isListening(server)).toBe(false);
  const ours = { pid: process.pid, uid: process.geteuid?.() ?? -1, gid: process.getegid?.() ?? -1 };
  expect(peerCredentials(server)).toEqual(ours);
  expect(peerCredentials(client)).toEqual(ours);
  using pidfd = peerPidFd(server);
  if (pidfd !== null) expect(targetOf(pidfd.number)).toContain("pidfd");
});

test("long paths, abstract names and O_PATH descriptors lead to the same sockets", () => {
  const deep = join(directory, "d".repeat(100), "e".repeat(100));
  mkdirSync(deep, { recursive: true });
  const path = join(deep, "socket");
  using listener = listenUnix(path);
  using first = connectUnix(path);
  using named = openPath(path, "path");
  using second = connectThroughFd(named);
  acceptPeer(listener)?.close();
  acceptPeer(listener)?.close();
  expect([first.isOpen, second.isOpen]).toEqual([true, true]);
  const name = `test-${process.pid}`;
  using abstract = listenAbstract(name);
  using third = connectUnix({ abstract: name });
  using peer = acceptPeer(abstract);
  expect([third.isOpen, peer?.isOpen]).toEqual([true, true]);
  expect(() => connectUnix(join(directory, "nobody"))).toThrow("No such file or directory");
  expect(() => connectUnix({ abstract: "x".repeat(200) })).toThrow("File name too long");
  expect(() => unixAddress("")).toThrow("Invalid argument");
});

test("connecting to a full backlog is EAGAIN and does not block", () => {
  const path = join(directory, "full");
  using _listener = listenUnix(path, { backlog: 0 });
  using _first = connectUnix(path);
  expect(() => connectUnix(path)).toThrow("Resource temporarily unavailable");
});

test("a socket that does not connect is closed at once: nothing can be in its queue", () => {
  const before = openDescriptors();
  for (let i = 0; i < LEAK_ROUNDS; i++) {
    for (const path of [join(directory, "nothing"), "/"]) expect(() => connectUnix(path)).toThrow("connect");
  }
  expectNothingLeft(before);
});

test("bytes arrive with their descriptors; an empty socket returns 'again', a finished one 'end'", () => {
  const [a, b] = socketPair();
  expect(receiveMessage(b, into)).toBe("again");
  using file = openPath("/etc/passwd", "read");
  expect(sendMessage(a, Buffer.from("hi"), [file, file])).toBe(2);
  const { text, fds } = receive(b);
  expect(text).toBe("hi");
  expect(fds.map((fd) => statFd(fd).ino)).toEqual([statFd(file).ino, statFd(file).ino]);
  for (const fd of fds) fd.close();
  a.close();
  expect(receiveMessage(b, into)).toBe("end");
  expect(() => sendMessage(b, Buffer.from("x"))).toThrow("Broken pipe");
  b.close();
});

test("253 descriptors can be sent, 254 are refused; those beyond the receiver's limit are closed and reported", () => {
  const [a, b] = socketPair();
  using file = openPath("/dev/null", "read");
  const many = new Array<Fd>(253).fill(file);
  expect(sendMessage(a, Buffer.from("x"), many)).toBe(1);
  const { fds } = receive(b);
  expect(fds.length).toBe(253);
  for (const fd of fds) fd.close();
  expect(() => sendMessage(a, Buffer.from("x"), [...many, file])).toThrow("Invalid argument");
  a.close();
  b.close();
});

test("a nearly full socket accepts a part of the bytes, and a full one none (-1)", () => {
  const [a, b] = socketPair();
  setSocketBuffers(a, 64 * 1024);
  const bytes = Buffer.alloc(1 << 20);
  let total = 0;
  for (let sent = 1; sent > 0; total += Math.max(sent, 0)) sent = sendMessage(a, bytes);
  expect(total).toBeGreaterThan(16 * 1024);
  expect(total).toBeLessThan(1 << 20);
  a.close();
  b.close();
});

test("datagrams keep their boundaries and have their sender's credentials", () => {
  const path = join(directory, "datagrams");
  using server = bindUnix(path, "datagram");
  passCredentials(server);
  using client = datagramSocket();
  const to = unixAddress(path);
  expect(sendDatagram(client, Buffer.from("one"), [], to)).toBe(true);
  expect(sendDatagram(client, Buffer.from("two"), [], to)).toBe(true);
  const first = receive(server);
  expect(first.text).toBe("one");
  expect(first.credentials).toMatchObject({ pid: process.pid });
  expect(receive(server).text).toBe("two");
  expect(sendDatagram(client, Buffer.alloc(into.size + 1), [], to)).toBe(true);
  expect(() => receiveMessage(server, into)).toThrow("Message too long");
  let sent = 0;
  while (sendDatagram(client, Buffer.from("x"), [], to)) sent++;
  expect(sent).toBeGreaterThan(0);
});

test("messages with descriptors stay correct in a hot loop, and no descriptor stays open", () => {
  const before = openDescriptors();
  const [a, b] = socketPair();
  using file = openPath("/dev/null", "read");
  const { ino } = statFd(file);
  for (let i = 0; i < MANY; i++) {
    const text = `message ${i}`;
    if (sendMessage(a, Buffer.from(text), i % 2 === 0 ? [file] : []) !== text.length) throw new Error(`short at ${i}`);
    const received = receive(b);
    if (received.text !== text || received.fds.length !== (i + 1) % 2) throw new Error(`wrong message at ${i}`);
    for (const fd of received.fds) {
      if (statFd(fd).ino !== ino) throw new Error(`wrong file at ${i}`);
      fd.close();
    }
    if (receiveMessage(b, into) !== "again") throw new Error(`more than sent at ${i}`);
  }
  a.close();
  b.close();
  expectNothingLeft(before);
});

test(
  "connect, accept and reading options stay correct in a hot loop",
  () => {
    const path = join(directory, "hot");
    using listener = listenUnix(path);
    const before = openDescriptors();
    for (let i = 0; i < MANY / 2; i++) {
      using client = connectUnix(path);
      using server = acceptPeer(listener);
      if (server === null || peerCredentials(server).pid !== process.pid) throw new Error(`wrong peer at ${i}`);
      if (isListening(client) || isListening(server)) throw new Error(`wrong option at ${i}`);
      peerPidFd(server)?.close();
    }
    for (let i = 0; i < MANY; i++) {
      const [a, b] = socketPair();
      if (a.number === b.number) throw new Error(`wrong pair at ${i}`);
      a.close();
      b.close();
    }
    expectNothingLeft(before);
  },
  GUARD_MS,
);
