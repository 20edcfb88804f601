import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { defineVarlinkInterface } from "../../../../src/api/varlink-table.ts";
import { Peers } from "../../../../src/ipc/peers.ts";
import type { AnyVarlinkHandler, VarlinkCall } from "../../../../src/ipc/varlink/binding.ts";
import { VarlinkServer } from "../../../../src/ipc/varlink/server.ts";
import { type Fd, openPath } from "../../../../src/kernel/file/fd.ts";
import { connectUnix, listenUnix, receiveMessage, sendMessage } from "../../../../src/kernel/socket/unix.ts";
import { pin } from "../../../../src/kernel/syscall/mem.ts";
import { isErrno, sys } from "../../../../src/kernel/syscall/sys.ts";
import { scratchDirectory, until } from "../../../kernel/support.ts";
import { descriptorsTo, expectNothingLeft, openDescriptors } from "../../../lib/descriptors.ts";

const directory = mkdtempSync(join(tmpdir(), "varlink-server-"));
afterAll(() => rmSync(directory, { recursive: true }));

const METHOD = { in: { n: "?int" }, out: { n: "?int" }, access: "everyone", doc: "" } as const;
const TABLE = defineVarlinkInterface({
  name: "a.b",
  doc: "",
  types: {},
  methods: { Echo: METHOD, Wait: METHOD, Large: METHOD, Take: { ...METHOD, descriptors: 2 }, Late: METHOD },
  notes: { fields: {}, errors: {} },
  errors: {},
});

const into = pin(1 << 20);
const SHUT_WR = 1;

/** A client that only sends and reads when a test calls it. */
class Client {
  readonly socket: Fd;
  text = "";

  constructor(path: string) {
    this.socket = connectUnix(path);
  }

  send(method: string, n?: number, fds: readonly Fd[] = []): boolean {
    return sendMessage(this.socket, Buffer.from(frame(method, n)), fds) > 0;
  }

  /** Reads the available bytes; false when the connection has ended. */
  read(): boolean {
    for (;;) {
      const received = this.#receive();
      if (received === "again") return true;
      if (received === "end") return false;
      this.text += into.bytes.toString("latin1", 0, received.bytes);
    }
  }

  /** A server that closes before it has read everything resets the connection, after the bytes that it sent. */
  #receive() {
    try {
      return receiveMessage(this.socket, into);
    } catch (error) {
      if (isErrno(error, "ECONNRESET")) return "end";
      throw error;
    }
  }

  get answers(): number[] {
    return [...this.text.matchAll(/"n":(\d+)/g)].map(([, n]) => Number(n));
  }
}

function frame(method: string, n?: number): string {
  return `${JSON.stringify({ method: `a.b.${method}`, parameters: n === undefined ? {} : { n } })}\0`;
}

let sockets = 0;

function serve(handlers: Partial<Record<keyof typeof TABLE.methods, AnyVarlinkHandler>>) {
  const path = join(directory, String(++sockets));
  const bugs: unknown[] = [];
  const server = new VarlinkServer({
    product: "test",
    version: "0",
    peers: new Peers(),
    interfaces: [{ table: TABLE, handlers: handlers as Record<string, AnyVarlinkHandler> }],
    bug: (error) => bugs.push(error),
    debug: () => {},
  });
  server.listen(listenUnix(path));
  return { path, server, bugs, [Symbol.dispose]: () => server.close() };
}

const echo: AnyVarlinkHandler = (_call, { n }: { n: number }) => ({ n });

test("40 000 calls in a row are answered in order, after a slow one before them", async () => {
  const waiting = Promise.withResolvers<object>();
  using served = serve({ Echo: echo, Wait: () => waiting.promise });
  const client = new Client(served.path);
  const COUNT = 40_000;
  const texts = [frame("Wait"), ...Array.from({ length: COUNT }, (_, n) => frame("Echo", n))];
  const bytes = Buffer.from(texts.join(""));
  let sent = 0;
  await until(() => {
    sent += Math.max(sendMessage(client.socket, bytes.subarray(sent)), 0);
    client.read();
    if (sent > 100_000) waiting.resolve({});
    return client.answers.length === COUNT;
  }, "all answers");
  expect(client.answers).toEqual(Array.from({ length: COUNT }, (_, n) => n));
  expect(served.bugs).toEqual([]);
  client.socket.close();
});

test("while a call waits for its answer, at most one chunk of its peer's stream is read", async () => {
  using served = serve({ Wait: () => new Promise<object>(() => {}), Echo: echo });
  const client = new Client(served.path);
  client.send("Wait");
  const piece = Buffer.from(frame("Echo", 1).repeat(2000));
  let sent = 0;
  let refusals = 0;
  await until(() => {
    const count = sendMessage(client.socket, piece);
    if (count > 0) sent += count;
    refusals = count > 0 ? 0 : refusals + 1;
    return refusals > 50;
  }, "the socket's buffer to fill");
  expect(sent).toBeLessThan(2 << 20);
  client.socket.close();
  await until(() => served.server.connections === 0, "the end");
});

test("no further call of a peer is handled while it does not read the answers to earlier ones", async () => {
  let calls = 0;
  using served = serve({
    Large: () => {
      calls++;
      return { n: 1, padding: "x".repeat(200_000) };
    },
  });
  const client = new Client(served.path);
  for (let i = 0; i < 50; i++) client.send("Large");
  await until(() => calls > 0, "the first call");
  const other = new Client(served.path);
  for (let round = 0; round < 50; round++) {
    other.text = "";
    other.send("Large");
    await until(() => other.read() && other.text.endsWith("\0"), "another's answer");
  }
  expect(calls).toBeLessThan(50 + 5);
  await until(() => client.read() && client.answers.length === 50, "all answers, once they are read");
  for (const { socket } of [client, other]) socket.close();
});

test("the disconnect of a peer is noticed, with and without a pending call, also after it shut down its writing side", async () => {
  let gone = 0;
  const wait: AnyVarlinkHandler = (call: VarlinkCall) => {
    call.onGone(() => gone++);
    return new Promise(() => {});
  };
  using served = serve({ Wait: wait, Echo: echo });
  await until(() => served.server.connections === 0, "nobody");
  const before = openDescriptors();
  for (let i = 0; i < 20; i++) {
    const client = new Client(served.path);
    client.send(i % 2 === 0 ? "Wait" : "Echo", i);
    if (i % 4 === 0) client.send("Echo", i);
    await until(() => served.server.connections === 1, "the connection");
    if (i % 3 === 0) sys("shutdown", client.socket.number, SHUT_WR);
    client.socket.close();
    await until(() => served.server.connections === 0, "its end");
  }
  expect(gone).toBe(10);
  expectNothingLeft(before);
});

test("a function that is passed to onGone() after the disconnect is called at once", async () => {
  const call = Promise.withResolvers<VarlinkCall>();
  using served = serve({
    Late: (given: VarlinkCall) => {
      call.resolve(given);
      return new Promise(() => {});
    },
  });
  const client = new Client(served.path);
  client.send("Late");
  const late = await call.promise;
  client.socket.close();
  await until(() => served.server.connections === 0, "the end");
  let told = 0;
  late.onGone(() => told++);
  await until(() => told === 1, "the news");
});

test("descriptors stay in the socket until the handler receives them; a handler that does not ends the connection", async () => {
  const seen: (number | null)[] = [];
  const take: AnyVarlinkHandler = ({ descriptors }: VarlinkCall, p: { n: number }) => {
    seen.push(descriptors === null ? null : descriptors.bytes);
    if (descriptors !== null && p.n === 2) for (const fd of descriptors.receive(2)) fd.close();
    return p;
  };
  using served = serve({ Take: take, Echo: take });
  const path = join(scratchDirectory(), "file");
  writeFileSync(path, "");
  using file = openPath(path, "read");
  for (const [method, n] of [
    ["Take", 2],
    ["Take", 3],
    ["Echo", 4],
    ["None", 6],
  ] as const) {
    seen.splice(0);
    const client = new Client(served.path);
    client.send("Echo", 1);
    client.send(method, n, [file, file]);
    client.send("Echo", 5);
    const isReceived = n === 2;
    await until(() => !client.read() || client.answers.length === 3, "the answers or the end");
    const isKnown = method !== "None";
    expect(client.answers).toEqual([1, ...(isKnown ? [n] : []), ...(isReceived ? [5] : [])]);
    expect(seen).toEqual([null, ...(isKnown ? [expect.any(Number)] : []), ...(isReceived ? [null] : [])]);
    client.socket.close();
    await until(() => descriptorsTo(path) === 1, "all but our own to be closed");
  }
});

test("descriptors that arrive with the NUL of a message alone belong to it, and their connection ends", async () => {
  const seen: (number | null)[] = [];
  const take: AnyVarlinkHandler = ({ descriptors }: VarlinkCall, p: object) => {
    seen.push(descriptors === null ? null : descriptors.bytes);
    return p;
  };
  using served = serve({ Echo: echo, Take: take });
  using file = openPath("/dev/null", "read");
  const client = new Client(served.path);
  sendMessage(client.socket, Buffer.from(frame("Echo", 1) + frame("Take", 2).slice(0, -1)));
  await until(() => client.read() && client.answers.length === 1, "the first answer, after which all is read");
  sendMessage(client.socket, Buffer.from("\0"), [file]);
  await until(() => !client.read() || client.answers.length === 2, "the second answer");
  client.socket.close();
  await until(() => served.server.connections === 0, "the server to forget the connection");
  expect(seen).toEqual([1]);
});

test("descriptors that arrive with the beginning of a message end the connection", async () => {
  using served = serve({ Echo: (_call: VarlinkCall, p: object) => p });
  using file = openPath("/dev/null", "read");
  const client = new Client(served.path);
  sendMessage(client.socket, Buffer.from(frame("Echo", 1).slice(0, 10)), [file]);
  sendMessage(client.socket, Buffer.from(frame("Echo", 1).slice(10)));
  await until(() => !client.read(), "the end of the connection");
  expect(client.answers).toEqual([]);
  client.socket.close();
});

test("calls before a malformed or unfinished message are answered, and then the connection ends", async () => {
  const slow = Promise.withResolvers<object>();
  using served = serve({ Echo: echo, Wait: () => slow.promise });
  const before = openDescriptors();
  const malformed = ["xx\0", "[]\0", "{}\0", "\0", '{"method":"a.b.\xff"}\0', `${"x".repeat(17 << 20)}\0`];
  for (const last of [...malformed, "\n", '{"method":']) {
    const client = new Client(served.path);
    const bytes = Buffer.concat([Buffer.from(frame("Echo", 1) + frame("Echo", 2)), Buffer.from(last, "latin1")]);
    let sent = 0;
    let isOpen = true;
    await until(() => {
      // The server does not read the whole of a message that is too long.
      if (isOpen && sent < bytes.length) sent += Math.max(sendUnlessEnded(client.socket, bytes.subarray(sent)), 0);
      if (sent === bytes.length && isOpen) sys("shutdown", client.socket.number, SHUT_WR);
      isOpen = client.read();
      return !isOpen;
    }, "the end of the connection");
    expect(client.answers).toEqual([1, 2]);
    client.socket.close();
  }
  const client = new Client(served.path);
  sendMessage(client.socket, Buffer.from(`${frame("Wait")}\n`));
  sys("shutdown", client.socket.number, SHUT_WR);
  await until(() => served.server.connections === 1, "the connection");
  slow.resolve({ n: 3 });
  await until(() => !client.read(), "the end of the connection");
  expect(client.answers).toEqual([3]);
  client.socket.close();
  expectNothingLeft(before);
});

/** Returns the number of bytes that were sent; all of them where the server has ended the connection. */
function sendUnlessEnded(socket: Fd, bytes: Buffer): number {
  try {
    return sendMessage(socket, bytes);
  } catch (error) {
    if (isErrno(error, "EPIPE", "ECONNRESET")) return bytes.length;
    throw error;
  }
}
