import { expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { watchCount } from "../../../src/kernel/event/poller.ts";
import { type Fd, openPath, statFd } from "../../../src/kernel/file/fd.ts";
import { readInLine, receiveBytes } from "../../../src/kernel/socket/receive.ts";
import { SocketStream, type StreamHandlers } from "../../../src/kernel/socket/stream.ts";
import { acceptPeer, listenUnix, receiveMessage, sendMessage, socketPair } from "../../../src/kernel/socket/unix.ts";
import { pin } from "../../../src/kernel/syscall/mem.ts";
import { sys } from "../../../src/kernel/syscall/sys.ts";
import { descriptorsTo, expectNothingLeft, openDescriptors } from "../../lib/descriptors.ts";
import { havePrograms } from "../../lib/programs.ts";
import { GUARD_MS } from "../../lib/wait-for.ts";
import { MANY, reported, scratchDirectory, targetOf, until } from "../support.ts";

/** A stream that records its callbacks. */
function recorder(fd: Fd) {
  const seen = { bytes: [] as Buffer[], fds: [] as Fd[], ends: [] as (Error | undefined)[], drains: 0 };
  const handlers: StreamHandlers = {
    data(bytes, fds) {
      seen.bytes.push(bytes);
      seen.fds.push(...fds);
    },
    end: (error) => seen.ends.push(error),
    drain: () => seen.drains++,
  };
  const stream = new SocketStream(fd, handlers, { takesDescriptors: 8 });
  return { stream, seen, text: () => Buffer.concat(seen.bytes).toString() };
}

function closeAll(fds: Fd[]): void {
  for (const fd of fds.splice(0)) fd.close();
}

test("writes of one turn of the event loop arrive together, in order", async () => {
  const [a, b] = socketPair();
  const [left, right] = [recorder(a), recorder(b)];
  for (const part of ["one ", "two ", "three"]) left.stream.write(Buffer.from(part));
  expect(left.stream.queuedBytes).toBe(13);
  await until(() => right.text().length === 13, "the bytes");
  expect(right.seen.bytes.length).toBe(1);
  expect(right.text()).toBe("one two three");
  expect(left.seen.drains).toBe(1);
  left.stream.close();
  await until(() => right.seen.ends.length > 0, "the end");
  expect([left.seen.ends, right.seen.ends]).toEqual([[undefined], [undefined]]);
  expect(watchCount()).toBe(0);
});

/** Whether an epoll of this process watches the descriptor for writing. */
function isWatchedForWriting({ number }: Fd): boolean {
  const watched = (text: string) => new RegExp(`^tfd: +${number} events: +([0-9a-f]+)`, "m").exec(text)?.[1];
  const masks = readdirSync("/proc/self/fdinfo").flatMap((fd) => {
    try {
      return watched(readFileSync(`/proc/self/fdinfo/${fd}`, "latin1")) ?? [];
    } catch {
      return []; // the descriptor of the directory
    }
  });
  expect(masks.length).toBe(1);
  return (Number.parseInt(masks[0] as string, 16) & EPOLLOUT) !== 0;
}

const EPOLLOUT = 4;

test("the socket is watched for writing only while it takes no more, so that a peer that reads is no event", async () => {
  const [a, b] = socketPair();
  const left = recorder(a);
  left.stream.write(Buffer.from("small"));
  await until(() => left.seen.drains === 1, "the small message");
  expect(isWatchedForWriting(a)).toBe(false);
  left.stream.write(Buffer.alloc(2_000_000));
  await until(() => isWatchedForWriting(a), "the full socket");
  const right = recorder(b);
  await until(() => right.text().length === 2_000_005, "all bytes");
  await until(() => left.seen.drains === 2, "the empty queue");
  expect(isWatchedForWriting(a)).toBe(false);
  left.stream.close();
  right.stream.close();
});

test("what follows a short read is not lost: more bytes, descriptors, the end", async () => {
  const file = openPath("/dev/null", "read");
  for (let round = 0; round < 200; round++) {
    const [a, b] = socketPair();
    const right = recorder(b);
    const parts: [string, Fd[]][] = [
      ["one", []],
      ["two", [file]],
      ["three", []],
      ["four", [file]],
    ];
    for (const [at, [text, fds]] of parts.entries()) {
      // Some of them arrive between two reads, others before the first.
      if ((round >> at) % 2 === 0) await reported();
      sendMessage(a, Buffer.from(text), fds);
    }
    a.close();
    await until(() => right.seen.ends.length > 0, "the end");
    expect([right.text(), right.seen.fds.length, right.seen.ends]).toEqual(["onetwothreefour", 2, [undefined]]);
    closeAll(right.seen.fds);
  }
  file.close();
});

test("bytes behind out-of-band bytes, at which a read stops, are read", async () => {
  const MSG_OOB = 1;
  const [a, b] = socketPair();
  readInLine(b.number);
  let text = "";
  const stream = new SocketStream(b, {
    data: (bytes) => {
      text += bytes.toString();
    },
    end: () => {},
  });
  await reported();
  const bytes = pin(3);
  for (const [part, flags] of [
    ["one", 0],
    ["two", MSG_OOB],
    ["six", 0],
  ] as const) {
    bytes.bytes.write(part);
    sys("sendto", a.number, bytes, 3, flags);
  }
  await until(() => text === "onetwosix", "all bytes");
  stream.close();
  a.close();
});

test("descriptors are sent with the first byte of their write, and closed in the sender", async () => {
  const before = openDescriptors();
  const [a, b] = socketPair();
  const [left, right] = [recorder(a), recorder(b)];
  const files = ["/dev/null", "/dev/zero", "/etc/passwd"].map((path) => openPath(path, "read"));
  const inodes = files.map((fd) => statFd(fd).ino);
  left.stream.write(Buffer.from("plain"));
  left.stream.write(Buffer.alloc(1_000_000, "a"), files.slice(0, 2));
  left.stream.write(Buffer.alloc(1_000_000, "b"), files.slice(2));
  await until(() => right.text().length === 2_000_005, "all bytes");
  expect(right.seen.fds.map((fd) => statFd(fd).ino)).toEqual(inodes);
  expect(files.some((fd) => fd.isOpen)).toBe(false);
  expect(left.stream.queuedBytes).toBe(0);
  closeAll(right.seen.fds);
  left.stream.close();
  right.stream.close();
  expectNothingLeft(before);
});

test("writes are held back while the stream is corked", async () => {
  const [a, b] = socketPair();
  const [left, right] = [recorder(a), recorder(b)];
  left.stream.cork();
  left.stream.write(Buffer.from("x"));
  await reported();
  expect(right.text()).toBe("");
  left.stream.uncork();
  await until(() => right.text() === "x", "the byte");
  left.stream.close();
  right.stream.close();
});

test("a paused stream reads nothing, and after resume() it reads everything", async () => {
  const [a, b] = socketPair();
  const [left, right] = [recorder(a), recorder(b)];
  right.stream.pause();
  left.stream.write(Buffer.from("later"));
  await reported();
  expect(right.text()).toBe("");
  right.stream.resume();
  await until(() => right.text() === "later", "the bytes");
  left.stream.close();
  right.stream.close();
});

test("finish() sends the queued bytes before the end, and so does a stream whose peer has ended", async () => {
  for (const how of ["finish", "peer"] as const) {
    const [a, b] = socketPair();
    const [left, right] = [recorder(a), recorder(b)];
    right.stream.pause();
    left.stream.write(Buffer.alloc(2_000_000, "x"));
    await reported();
    expect(left.stream.queuedBytes).toBeGreaterThan(0);
    if (how === "finish") left.stream.finish();
    else sendMessage(b, Buffer.from("last words"));
    right.stream.resume();
    await until(() => right.text().length === 2_000_000, "all bytes");
    if (how === "finish") await until(() => right.seen.ends.length === 1, "the end");
    expect(left.seen.ends.length).toBe(how === "finish" ? 1 : 0);
    left.stream.close();
    right.stream.close();
    expect([left.seen.ends.length, right.seen.ends.length]).toEqual([1, 1]);
  }
});

test("a stream that handles readEnd stays writable after the peer's last byte", async () => {
  const [a, b] = socketPair();
  let readEnds = 0;
  let ends = 0;
  const stream: SocketStream = new SocketStream(a, {
    data() {},
    end: () => ends++,
    readEnd: () => readEnds++,
  });
  const SHUT_WR = 1;
  const { sys } = await import("../../../src/kernel/syscall/sys.ts");
  sys("shutdown", b.number, SHUT_WR);
  await until(() => readEnds === 1, "the half end");
  stream.write(Buffer.from("answer"));
  const into = pin(100);
  await until(() => receiveMessage(b, into) !== "again", "the answer");
  expect(into.bytes.toString("utf8", 0, 6)).toBe("answer");
  stream.close();
  expect([readEnds, ends]).toEqual([1, 1]);
  b.close();
});

test("writing after the peer has closed ends the stream with one error, and descriptors are closed", async () => {
  const [a, b] = socketPair();
  const left = recorder(a);
  left.stream.pause();
  b.close();
  const file = openPath("/dev/null", "read");
  left.stream.write(Buffer.from("x"), [file]);
  await until(() => left.seen.ends.length > 0, "the end");
  expect(left.seen.ends[0]?.message).toBe("sendmsg: Broken pipe");
  expect(file.isOpen).toBe(false);
  const late = openPath("/dev/null", "read");
  left.stream.write(Buffer.from("x"), [late]);
  expect(late.isOpen).toBe(false);
  left.stream.close();
  expect(left.seen.ends.length).toBe(1);
});

test("a disconnect is noticed while reading is paused, and after the peer had shut down its writing side", async () => {
  const before = openDescriptors();
  const { sys } = await import("../../../src/kernel/syscall/sys.ts");
  const SHUT_WR = 1;
  for (const first of ["nothing", "half"] as const) {
    const [a, b] = socketPair();
    const seen = { ends: 0, readEnds: 0 };
    const stream = new SocketStream(a, { data() {}, end: () => seen.ends++, readEnd: () => seen.readEnds++ });
    if (first === "nothing") stream.pause();
    else sys("shutdown", b.number, SHUT_WR);
    if (first === "half") await until(() => seen.readEnds === 1, "the half end");
    expect(seen.ends).toBe(0);
    b.close();
    await until(() => seen.ends === 1, "the end");
  }
  expectNothingLeft(before);
});

test("with a handler for hangup, bytes that were sent before the disconnect can still be read", async () => {
  const [a, b] = socketPair();
  const seen = { text: "", ends: 0, hangups: 0 };
  const stream: SocketStream = new SocketStream(a, {
    data: (bytes) => {
      seen.text += bytes.toString();
      if (seen.hangups === 0) stream.pause();
    },
    end: () => seen.ends++,
    hangup: () => seen.hangups++,
  });
  sendMessage(b, Buffer.from("first "));
  await until(() => seen.text !== "", "the first");
  sendMessage(b, Buffer.from("last"));
  b.close();
  await until(() => seen.hangups === 1, "the news");
  expect(seen).toEqual({ text: "first ", ends: 0, hangups: 1 });
  stream.resume();
  await until(() => seen.ends === 1, "the end");
  expect(seen).toEqual({ text: "first last", ends: 1, hangups: 1 });
});

/** The callbacks of a stream for `pieces`, each sent with a number of descriptors. */
async function receivedBy(
  pieces: readonly [text: string, descriptors: number][],
  options: { takesDescriptors?: number; leaves?: boolean },
) {
  using file = openPath("/dev/null", "read");
  const [a, b] = socketPair();
  const before = descriptorsTo("/dev/null");
  const seen = { text: "", left: "", most: 0, end: null as string | null };
  const handlers: StreamHandlers = {
    data: (bytes, fds) => {
      seen.text += bytes.toString();
      seen.most = Math.max(seen.most, descriptorsTo("/dev/null") - before);
      closeAll(fds);
    },
    end: (error) => {
      seen.end = error?.message ?? "";
    },
    ...(options.leaves === true && { left: (bytes) => (seen.left += bytes.toString()) }),
  };
  for (const [text, count] of pieces) sendMessage(b, Buffer.from(text), new Array<Fd>(count).fill(file));
  const stream = new SocketStream(a, handlers, { takesDescriptors: options.takesDescriptors ?? 0 });
  await reported();
  await new Promise((resolve) => setImmediate(resolve));
  seen.most = Math.max(seen.most, descriptorsTo("/dev/null") - before);
  const close = () => {
    stream.close();
    b.close();
  };
  return { seen, stream, close };
}

test("a stream that accepts no descriptors ends at the first one, and receives none", async () => {
  const { seen, close } = await receivedBy([["x", 0], ["y", 3]], {}); // biome-ignore format: pairs
  close();
  expect(seen).toEqual({ text: "", left: "", most: 0, end: "recvmsg: Exchange full" });
});

test("more descriptors than a stream accepts end it", async () => {
  const few = await receivedBy([["x", 4], ["y", 0]], { takesDescriptors: 4 }); // biome-ignore format: pairs
  expect(few.seen).toEqual({ text: "xy", left: "", most: 4, end: null });
  few.close();
  const { seen, close } = await receivedBy([["x", 253]], { takesDescriptors: 4 });
  close();
  expect([seen.text, seen.end]).toEqual(["", "recvmsg: Exchange full"]);
});

test("descriptors are left in the socket with their bytes, and nothing after them is read before they are received", async () => {
  const { seen, stream, close } = await receivedBy([["x", 0], ["y", 3], ["z", 1]], { leaves: true }); // biome-ignore format: pairs
  // The kernel joins the bytes before it in the same read.
  expect(seen).toEqual({ text: "", left: "xy", most: 0, end: null });
  stream.pause();
  stream.resume();
  await reported();
  expect(seen.text).toBe("");
  const files = stream.receiveLeft(2, 3);
  expect(files.map((file) => targetOf(file.number))).toEqual(["/dev/null", "/dev/null", "/dev/null"]);
  closeAll(files);
  await until(() => seen.left === "xyz", "the next ones");
  close();
});

test("all bytes before descriptors are left in the socket with them, also more than one read returns", async () => {
  for (const plain of [50_000, 65_536, 100_000]) {
    const pieces: [string, number][] = [["x".repeat(plain), 0], ["y".repeat(16_000), 2], ["z", 0]]; // biome-ignore format: pairs
    const { seen, stream, close } = await receivedBy(pieces, { leaves: true });
    expect([seen.text, seen.left.length, seen.left.endsWith("y")]).toEqual(["", plain + 16_000, true]);
    const files = stream.receiveLeft(plain + 16_000, 2);
    expect(files.length).toBe(2);
    closeAll(files);
    await until(() => seen.text === "z", "what is behind them");
    close();
  }
});

const hasPython = havePrograms("bytes out of band", "python3");
const outOfBand = "descriptors that are sent with out-of-band data are noticed like others";

test.skipIf(!hasPython)(hasPython ? outOfBand : `${outOfBand} (left out: no python3)`, async () => {
  const path = join(scratchDirectory(), "socket");
  using listener = listenUnix(path);
  const script = `
import array, os, socket, sys
s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1])
n = array.array("i", [os.open("/dev/null", os.O_RDONLY)])
s.sendmsg([b"o"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, n)], socket.MSG_OOB)
s.send(b"y")
print("sent", flush=True)
sys.stdin.read()`;
  const sender = Bun.spawn(["python3", "-c", script, path], { stdio: ["pipe", "pipe", "inherit"] });
  try {
    using socket = await until(() => acceptPeer(listener), "a connection");
    await sender.stdout.getReader().read();
    const received = receiveBytes(socket.number, pin(64));
    expect(typeof received === "object" ? received.left.toString() : received).toBe("o");
  } finally {
    sender.kill();
  }
});

test("the disconnect of a peer is noticed if it comes after descriptors that were not yet noticed", async () => {
  const [a, b] = socketPair();
  using file = openPath("/dev/null", "read");
  const seen: string[] = [];
  sendMessage(b, Buffer.from("x"), [file]);
  b.close();
  const stream = new SocketStream(a, {
    data: () => {},
    left: (bytes) => seen.push(bytes.toString()),
    hangup: () => seen.push("hangup"),
    end: () => seen.push("end"),
  });
  await until(() => seen.length === 2, "the news");
  stream.close();
  expect(seen).toEqual(["x", "hangup", "end"]);
});

test("the disconnect of a peer is noticed if it comes after descriptors that are left in the socket", async () => {
  const [a, b] = socketPair();
  using file = openPath("/dev/null", "read");
  const seen: string[] = [];
  sendMessage(b, Buffer.from("x"), [file]);
  const stream = new SocketStream(a, {
    data: () => {},
    left: (bytes) => seen.push(bytes.toString()),
    hangup: () => seen.push("hangup"),
    end: () => seen.push("end"),
  });
  await until(() => seen.length === 1, "the bytes");
  b.close();
  await until(() => seen.length === 2, "the news");
  stream.close();
  expect(seen).toEqual(["x", "hangup", "end"]);
});

test("descriptors without bytes are refused", () => {
  const [a, b] = socketPair();
  const left = recorder(a);
  const file = openPath("/dev/null", "read");
  expect(() => left.stream.write(Buffer.alloc(0), [file])).toThrow("Invalid argument");
  expect(file.isOpen).toBe(false);
  left.stream.close();
  b.close();
});

test("a stream may be closed inside its own callback", async () => {
  const [a, b] = socketPair();
  let ends = 0;
  const stream: SocketStream = new SocketStream(a, { data: () => stream.close(), end: () => ends++ });
  sendMessage(b, Buffer.from("x"));
  await until(() => ends === 1, "the end");
  b.close();
});

test(
  "in many round trips with descriptors nothing is lost or exchanged",
  async () => {
    const [a, b] = socketPair();
    const file = openPath("/dev/null", "read");
    const { ino } = statFd(file);
    let passed = 0;
    let got = 0;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const options = { takesDescriptors: 8 };
    const echo: StreamHandlers = { data: (bytes, fds) => right.write(bytes, fds), end() {} };
    const right: SocketStream = new SocketStream(b, echo, options);
    const handlers: StreamHandlers = {
      data(bytes, fds) {
        if (bytes.readUInt32LE() !== got) reject(new Error(`wrong answer at ${got}`));
        for (const fd of fds) {
          if (statFd(fd).ino !== ino) reject(new Error(`wrong file at ${got}`));
          passed++;
          fd.close();
        }
        if (++got === MANY) resolve();
        else send();
      },
      end: () => reject(new Error("ended")),
    };
    const left: SocketStream = new SocketStream(a, handlers, options);
    const send = () => {
      const bytes = Buffer.alloc(4);
      bytes.writeUInt32LE(got);
      left.write(bytes, got % 10 === 0 ? [file.duplicate()] : []);
    };
    send();
    await promise.finally(() => file.close());
    expect(passed).toBe(MANY / 10);
    right.close();
    promise.catch(() => {});
  },
  GUARD_MS,
);

test("a file that cannot be watched is closed", () => {
  using file = openPath(import.meta.path, "read");
  expect(() => new SocketStream(file, { data: () => {}, end: () => {} })).toThrow();
  expect(file.isOpen).toBe(false);
});
