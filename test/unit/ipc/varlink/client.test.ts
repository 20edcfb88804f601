// How a client parses replies that arrive in any pieces, or all at once.
import { describe, expect, test } from "bun:test";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { VarlinkClient, type VarlinkError } from "../../../../src/ipc/varlink/client.ts";
import { connectVarlink } from "../../../../src/ipc/varlink/connect.ts";
import { connectPlainVarlink } from "../../../../src/ipc/varlink/plain.ts";
import { VarlinkStream } from "../../../../src/ipc/varlink/stream.ts";
import { openPath } from "../../../../src/kernel/file/fd.ts";
import { SocketStream } from "../../../../src/kernel/socket/stream.ts";
import { socketPair } from "../../../../src/kernel/socket/unix.ts";
import { descriptorsTo } from "../../../lib/descriptors.ts";

const more = (name: unknown) => `${JSON.stringify({ parameters: { name }, continues: true })}\0`;
const last = (name: unknown) => `${JSON.stringify({ parameters: { name } })}\0`;

/** A service that answers its first call with these pieces; null closes the connection. */
async function ask<T>(
  connect: typeof connectVarlink,
  pieces: readonly (string | Uint8Array | null)[],
  call: (client: VarlinkClient) => Promise<T>,
): Promise<T> {
  const directory = mkdtempSync(join(tmpdir(), "varlink-client-"));
  const path = join(directory, "socket");
  const server = Bun.listen({
    unix: path,
    socket: {
      data: async (socket) => {
        for (const piece of pieces) {
          if (piece === null) socket.end();
          else socket.write(piece);
          socket.flush();
          for (let turn = 0; turn < 3; turn++) await new Promise(setImmediate);
        }
      },
    },
  });
  const client = await connect(path);
  try {
    return await call(client);
  } finally {
    client.close();
    server.stop(true);
    if (existsSync(directory)) rmSync(directory, { recursive: true });
  }
}

async function names(client: VarlinkClient): Promise<unknown> {
  try {
    return (await client.callAll("a.b.List")).map(({ name }) => name);
  } catch (error) {
    return (error as VarlinkError).id ?? (error as Error).message;
  }
}

const MANY = Array.from({ length: 2000 }, (_, i) => `n${i}`);

const CASES: readonly [what: string, pieces: readonly (string | Uint8Array | null)[], answer: unknown][] = [
  ["one reply", [last("a")], ["a"]],
  ["several replies in one piece", [more("a") + more("b") + last("c")], ["a", "b", "c"]],
  ["several replies in several pieces", [more("a") + more("b"), more("c"), last("d")], ["a", "b", "c", "d"]],
  ["replies that are cut at any place", [`${more("a")}{"param`, `eters":{"name":"b"},"continues":true}\0${more("c").slice(0, 9)}`, more("c").slice(9) + last("d")], ["a", "b", "c", "d"]], // biome-ignore format: a case a line
  ["2001 replies in one piece", [MANY.map(more).join("") + last("end")], [...MANY, "end"]],
  ["a reply without parameters", [`${more("a")}{"continues":true}\0${last("c")}`], ["a", undefined, "c"]],
  [
    "integers beyond 2^53",
    [`${more("a")}{"parameters":{"name":18446744073709551615}}\0`],
    ["a", 18446744073709551615n],
  ],
  ["an error after replies", [`${more("a") + more("b")}{"error":"a.b.No"}\0`], "a.b.No"],
  ["only an error", ['{"error":"a.b.No","parameters":{}}\0'], "a.b.No"],
  ["a message that is no object", [`${more("a")}17\0${last("c")}`], "The service sent no valid reply"],
  ["two messages that are valid JSON only when joined", [`${more("a")}{"parameters":{}\0"continues":true}\0`], "The service sent no valid reply"], // biome-ignore format: a case a line
  ["two objects in a message", [`${more("a")}{},{}\0${last("c")}`], "The service sent no valid reply"],
  ["a message that is not UTF-8", [Buffer.from(`${more("a")}{"error":"\xff"}\0`, "latin1")], /message is not UTF-8/],
  ["a connection that is closed at once", [null], /Connection terminated/],
  ["a connection that is closed between replies", [more("a") + more("b"), null], /Connection terminated/],
];

for (const [how, connect] of [
  ["with descriptors", connectVarlink],
  ["without descriptors", connectPlainVarlink],
] as const) {
  describe(`callAll() of a client ${how}`, () => {
    for (const [what, pieces, answer] of CASES) {
      test(what, async () => {
        const given = await ask(connect, pieces, names);
        if (answer instanceof RegExp) expect(given).toMatch(answer);
        else expect(given).toEqual(answer);
      });
    }

    test("a second call on the same connection returns its own reply", async () => {
      const both = await ask(connect, [more("a") + last("b")], async (client) => {
        return [await names(client), await client.call("a.b.Get"), await names(client)];
      });
      expect(both).toEqual([["a", "b"], { name: "a" }, ["a", "b"]]);
    });

    test("a service that stops answering in the middle is a timeout", async () => {
      const call = (client: VarlinkClient) => client.callAll("a.b.List", {}, { timeoutMs: 100 });
      await expect(ask(connect, [more("a"), more("b")], call)).rejects.toThrow("No answer to a.b.List() in time");
    });

    test("a service that closes each connection is an error", async () => {
      const directory = mkdtempSync(join(tmpdir(), "varlink-client-"));
      const path = join(directory, "socket");
      const server = Bun.listen({ unix: path, socket: { open: (socket) => void socket.end(), data: () => {} } });
      for (let i = 0; i < 50; i++) {
        const answered = connect(path).then(async (client) => {
          const given = await names(client);
          client.close();
          return given;
        });
        expect(await answered.catch((error) => error.message)).toBeString();
      }
      server.stop(true);
      rmSync(directory, { recursive: true });
    });

    test("connecting to a socket that does not exist is an error", async () => {
      await expect(connect("/nowhere/socket")).rejects.toThrow();
    });
  });
}

test("descriptors of replies belong to the caller of call(); those of errors and of several replies are closed", async () => {
  const directory = mkdtempSync(join(tmpdir(), "varlink-client-"));
  const path = join(directory, "file");
  writeFileSync(path, "");
  using file = openPath(path, "read");
  const [ours, theirs] = socketPair();
  const replies: string[] = [];
  const service: VarlinkStream = new VarlinkStream((handlers) => new SocketStream(theirs, handlers), {
    message: () => {
      for (const reply of replies.splice(0)) service.send([reply], [file.duplicate()]);
    },
    end: () => {},
  });
  const client = new VarlinkClient((handlers) => new SocketStream(ours, handlers, { takesDescriptors: 8 }));
  replies.push('{"error":"a.b.No"}');
  await expect(client.call("a.b.Get")).rejects.toThrow("a.b.No");
  replies.push('{"continues":true}', '{"continues":true}', "{}");
  expect(await client.callAll("a.b.List")).toEqual([{}, {}, {}]);
  replies.push('{"continues":true}', '{"continues":true}', "{}");
  for await (const reply of client.callMore("a.b.List")) expect(reply).toEqual({});
  expect(descriptorsTo(path)).toBe(1);
  replies.push("{}");
  await client.call("a.b.Get");
  expect(client.descriptors.map((fd) => fd.isOpen)).toEqual([true]);
  expect(descriptorsTo(path)).toBe(2);
  for (const fd of client.descriptors) fd.close();
  client.close();
  service.close();
  rmSync(directory, { recursive: true });
});
