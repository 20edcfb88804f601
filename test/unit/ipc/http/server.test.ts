// The HTTP server on a real socket, with peers that are slow, greedy, or break the protocol.
import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type HttpAnswer, HttpServer, type HttpServerOptions, plainAnswer } from "../../../../src/ipc/http/server.ts";
import { type AllLimits, Peers } from "../../../../src/ipc/peers.ts";
import type { Fd } from "../../../../src/kernel/file/fd.ts";
import { connectUnix, listenUnix, receiveMessage, sendMessage } from "../../../../src/kernel/socket/unix.ts";
import { pin } from "../../../../src/kernel/syscall/mem.ts";
import { sys } from "../../../../src/kernel/syscall/sys.ts";
import { until } from "../../../kernel/support.ts";

const directory = mkdtempSync(join(tmpdir(), "http-server-"));
afterAll(() => rmSync(directory, { recursive: true }));

const into = pin(1 << 20);
const GET = "GET /x HTTP/1.1\r\nHost: a\r\n\r\n";
const SHUT_WR = 1;

/** A peer that only sends and reads when a test calls it. */
class Peer {
  readonly socket: Fd;
  text = "";

  constructor(path: string) {
    this.socket = connectUnix(path);
  }

  send(text: string): void {
    sendMessage(this.socket, Buffer.from(text, "latin1"));
  }

  /** Reads the available bytes; false when the connection has ended. */
  read(): boolean {
    for (;;) {
      let received: ReturnType<typeof receiveMessage>;
      try {
        received = receiveMessage(this.socket, into);
      } catch {
        return false; // the server closed it before it had read all bytes
      }
      if (received === "again") return true;
      if (received === "end") return false;
      this.text += into.bytes.toString("latin1", 0, received.bytes);
    }
  }

  /** The whole answer, once the server has closed the connection. */
  async answer(): Promise<string> {
    await until(() => !this.read(), "the end of the connection");
    this.socket.close();
    return this.text;
  }
}

let sockets = 0;

function serve(answer: HttpServerOptions["answer"], more: Partial<HttpServerOptions> = {}) {
  const path = join(directory, String(++sockets));
  const bugs: unknown[] = [];
  const peers = more.peers ?? new Peers();
  const server = new HttpServer({ peers, answer, bug: (error) => void bugs.push(error), debug: () => {}, ...more });
  server.listen(listenUnix(path));
  return { path, bugs, peers, [Symbol.dispose]: () => server.close() };
}

const hello = (): HttpAnswer => plainAnswer(200, "hello");
const statusOf = (answer: string) => answer.slice(0, 12);

test("a request is answered, and the connection is closed", async () => {
  using server = serve(({ method, path }) => plainAnswer(200, `${method} ${path}`));
  const peer = new Peer(server.path);
  peer.send(GET);
  const [head = "", body] = (await peer.answer()).split("\r\n\r\n");
  expect(body).toBe("GET /x\n");
  expect(head.split("\r\n").filter((line) => !line.startsWith("Date: "))).toEqual([
    "HTTP/1.1 200 OK",
    "Content-Type: text/plain; charset=utf-8",
    "Content-Length: 7",
    "Cache-Control: no-store",
    "X-Content-Type-Options: nosniff",
    "Connection: close",
  ]);
});

test("the answer to HEAD has headers only, and fetch() understands the server's answers", async () => {
  using server = serve(hello);
  const peer = new Peer(server.path);
  peer.send("HEAD / HTTP/1.0\r\n\r\n");
  expect(await peer.answer()).toEndWith("Connection: close\r\n\r\n");
  const reply = await fetch("http://localhost/", { unix: server.path });
  expect([reply.status, await reply.text()]).toEqual([200, "hello\n"]);
});

test("a request may arrive byte by byte, and its sender may shut down its writing side", async () => {
  using server = serve(hello);
  const peer = new Peer(server.path);
  for (const byte of GET) peer.send(byte);
  sys("shutdown", peer.socket.number, SHUT_WR);
  expect(await peer.answer()).toEndWith("hello\n");
});

test("bytes that are sent after a request are neither read nor answered", async () => {
  let count = 0;
  using server = serve(() => plainAnswer(200, String(++count)));
  const peer = new Peer(server.path);
  peer.send(GET + GET + GET);
  expect(await peer.answer()).toEndWith("\r\n\r\n1\n");
  expect(count).toBe(1);
});

test("invalid requests are answered with status 400, 405 or 431", async () => {
  using server = serve(hello);
  const ask = async (text: string) => {
    const peer = new Peer(server.path);
    peer.send(text);
    return statusOf(await peer.answer());
  };
  expect(await ask("nonsense\r\n\r\n")).toBe("HTTP/1.1 400");
  expect(await ask("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello")).toBe("HTTP/1.1 405");
  expect(await ask(`GET / HTTP/1.1\r\nHost: a\r\nX: ${"x".repeat(9000)}`)).toBe("HTTP/1.1 431");
  expect(await ask(`GET / HTTP/1.1\r\nHost: a\r\nX: ${"x".repeat(9000)}\r\n\r\n`)).toBe("HTTP/1.1 431");
});

test("an exception is logged, and the peer gets status 500 without details", async () => {
  using server = serve(() => {
    throw new TypeError("secret");
  });
  const peer = new Peer(server.path);
  peer.send(GET);
  const answer = await peer.answer();
  expect(statusOf(answer)).toBe("HTTP/1.1 500");
  expect(answer).not.toContain("secret");
  expect(String(server.bugs[0])).toContain("secret");
});

test("a peer that sends an incomplete request is disconnected, and others are answered meanwhile", async () => {
  using server = serve(hello, { patienceMs: { request: 50, answer: 60_000 } });
  const [mute, slow] = [new Peer(server.path), new Peer(server.path)];
  slow.send("GET / HT");
  const peer = new Peer(server.path);
  peer.send(GET);
  expect(await peer.answer()).toEndWith("hello\n");
  expect(await mute.answer()).toBe("");
  expect(await slow.answer()).toBe("");
  expect(server.peers.connections).toBe(0);
});

test("a peer that does not read its answer is disconnected before it has received all of it", async () => {
  const large = { status: 200 as const, type: "text/plain", body: Buffer.alloc(8 << 20, "x") };
  let count = 0;
  const answer = () => {
    count++;
    return large;
  };
  using server = serve(answer, { patienceMs: { request: 60_000, answer: 50 } });
  const peer = new Peer(server.path);
  peer.send(GET);
  await until(() => count === 1, "the answer");
  await until(() => server.peers.connections === 0, "0 connections");
  expect((await peer.answer()).length).toBeLessThan(large.body.length);
});

test("the memory of unread answers is limited for each user", async () => {
  const limits = { connections: 100, bytes: 10 << 20, descriptors: 10 };
  const all: AllLimits = { total: limits, others: limits, user: limits };
  const large = { status: 200 as const, type: "text/plain", body: Buffer.alloc(4 << 20, "x") };
  let count = 0;
  const answer = () => {
    count++;
    return large;
  };
  using server = serve(answer, { peers: new Peers(all) });
  const peers = Array.from({ length: 5 }, () => new Peer(server.path));
  for (const peer of peers) peer.send(GET);
  // Two answers of 4 MiB fit into 10 MiB.
  await until(() => count === peers.length && server.peers.connections === 2, "two connections that are left");
  for (const peer of peers) peer.socket.close();
});

test("connections beyond a user's limit are closed", async () => {
  const limits = { connections: 3, bytes: 10 << 20, descriptors: 10 };
  using server = serve(hello, { peers: new Peers({ total: limits, others: limits, user: limits }) });
  const held = Array.from({ length: 3 }, () => new Peer(server.path));
  await until(() => server.peers.connections === 3, "3 connections");
  expect(await new Peer(server.path).answer()).toBe("");
  held[0]?.socket.close();
  await until(() => server.peers.connections === 2, "2 connections");
  const peer = new Peer(server.path);
  peer.send(GET);
  expect(await peer.answer()).toEndWith("hello\n");
  for (const one of held.slice(1)) one.socket.close();
});

test("when a peer disconnects before its answer is ready, its connection is released without an error", async () => {
  const answer = Promise.withResolvers<HttpAnswer>();
  using server = serve(() => answer.promise);
  const peer = new Peer(server.path);
  peer.send(GET);
  await until(() => server.peers.connections === 1, "1 connections");
  peer.socket.close();
  await until(() => server.peers.connections === 0, "0 connections");
  answer.resolve(hello());
  expect(server.bugs).toEqual([]);
});
