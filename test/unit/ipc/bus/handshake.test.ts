// Both sides of the authentication, with each other.
import { expect, test } from "bun:test";
import { join } from "node:path";
import { ClientHandshake, ServerHandshake } from "../../../../src/ipc/bus/handshake.ts";
import { engineSocket } from "../../../../src/ipc/plain/engine-socket.ts";
import { scratchDirectory } from "../../../kernel/support.ts";

const directory = scratchDirectory();

/** Passes all bytes at once, or one by one; returns the bytes that follow the handshake on the client's side. */
function meet(client: ClientHandshake, server: ServerHandshake, piece: number): string | null {
  const pieces = (bytes: Buffer) =>
    Array.from({ length: Math.ceil(bytes.length / piece) }, (_, i) => bytes.subarray(i * piece, (i + 1) * piece));
  const replies = pieces(client.begin()).map((bytes) => server.feed(bytes).reply);
  let rest: Buffer | null = null;
  for (const bytes of pieces(Buffer.concat([...replies, Buffer.from("!")]))) rest ??= client.feed(bytes).rest;
  return rest?.toString() ?? null;
}

const HERE = process.geteuid?.() ?? 0;

for (const passesDescriptors of [true, false]) {
  for (const piece of [1, 1000]) {
    const how = `${passesDescriptors ? "with" : "without"} descriptors, ${piece} bytes at a time`;

    test(`a client that names nobody is the user that the kernel tells the server: ${how}`, () => {
      // As for root of another user namespace.
      const server = new ServerHandshake(HERE + 100_000, "00");
      expect(meet(new ClientHandshake(null, { passesDescriptors }), server, piece)).toBe(piece === 1 ? "" : "!");
    });

    test(`a client that names a user is that user, or nobody: ${how}`, () => {
      const named = () => new ClientHandshake(7, { passesDescriptors });
      expect(meet(named(), new ServerHandshake(7, "00"), piece)).toBe(piece === 1 ? "" : "!");
      expect(() => meet(named(), new ServerHandshake(8, "00"), piece)).toThrow("peer begins without authentication");
    });
  }
}

test("the targets on this host name nobody, so that they can be reached from another user namespace", async () => {
  const path = join(directory, "bus");
  const server = Bun.listen({ unix: path, socket: { data: () => {} } });
  try {
    const socket = await engineSocket({ kind: "private", path });
    expect(socket?.handshake?.begin().toString()).toBe("\0AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n");
    socket?.open({ data: () => {}, end: () => {} }).close();
  } finally {
    server.stop(true);
  }
});
