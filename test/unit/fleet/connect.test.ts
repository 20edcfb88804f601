// The login that a client sends to a NATS server, which is played here up to that.
import { expect, test } from "bun:test";
import { connectFleet } from "../../../src/fleet/connect.ts";
import { DEFAULTS, parseUrls } from "../../../src/fleet/settings.ts";

/** Returns the user and the password that a client sends to the server whose URL has this login. */
async function sentLogin(login: string): Promise<{ user?: string; pass?: string }> {
  const sent = Promise.withResolvers<string>();
  const listener = Bun.listen({
    ...{ hostname: "127.0.0.1", port: 0 },
    socket: {
      open: (socket) => void socket.write('INFO {"server_id":"played","version":"2.9.10","max_payload":1048576}\r\n'),
      data: (socket, bytes) => {
        sent.resolve(bytes.toString());
        socket.end();
      },
    },
  });
  try {
    const urls = parseUrls(`nats://${login}@127.0.0.1:${listener.port}`);
    const [text] = await Promise.all([sent.promise, connectFleet({ ...DEFAULTS, urls }, "test").catch(() => {})]);
    return JSON.parse(/CONNECT (.*)\r\n/.exec(text)?.[1] ?? "{}");
  } finally {
    listener.stop(true);
  }
}

test.each([
  ["user:password", "user", "password"],
  ["user:p%40ss%2F%25", "user", "p@ss/%"],
  ["user:p@ss:w", "user", "p@ss:w"],
  ["me@example.org:password", "me@example.org", "password"],
])("the login '%s' of a URL is the user '%s' with the password '%s'", async (login, user, pass) => {
  expect(await sentLogin(login)).toMatchObject({ user, pass });
});
