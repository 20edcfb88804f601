// Peers that are patient, well-formed and greedy, as a user without privileges, on every socket of the daemon: others
// are answered meanwhile, and afterwards the daemon holds no more resources than before.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmodSync } from "node:fs";
import { join } from "node:path";
import { connectVarlink } from "../../src/ipc/varlink/connect.ts";
import { isRoot, manager, TestDaemon } from "../lib/daemon.ts";
import { type Attack, GreedyPeer, hasPython, latencyMs, NOBODY, resourcesOf, survives } from "../lib/greedy.ts";
import { GUARD_MS, waitFor } from "../lib/wait-for.ts";

const canRun = isRoot && hasPython;
const reason = canRun ? "" : " (left out: needs root and python3)";

const LIST = "io.systemd.Machine.List";
const FILTER = "io.systemd.Resolve.Hook.QueryFilter";
const USER = "io.systemd.UserDatabase.GetUserRecord";

/** Attack, socket, number of connections, and a second word. */
const ATTACKS: readonly [string, keyof typeof SOCKETS, number, string?, number?][] = [
  ["hold", "machine", 600],
  ["hold", "names", 600],
  ["hold", "users", 600],
  ["hold", "hook", 600],
  ["pipeline", "machine", 100],
  ["pipeline", "machine", 20, LIST],
  ["pipeline", "hook", 20, FILTER],
  ["pipeline", "users", 50, USER],
  ["pipeline", "machine", 20, LIST, 0],
  ["unfinished", "machine", 60],
  ["unfinished", "users", 60],
  ["numbers", "machine", 20],
  ["descriptors", "machine", 40],
  ["descriptors", "hook", 40, FILTER],
  ["leave", "hook", 50, FILTER],
  ["subscribe", "hook", 200, FILTER],
  ["lines", "names", 600, "HOST"],
];

const SOCKETS = {
  machine: "machine/io.systemd.Machine",
  names: "machine/names",
  users: "userdb/io.systemd.Machine",
  hook: "resolve.hook/io.systemd.Machine",
};

describe.skipIf(!canRun)(`greedy peers${reason}`, () => {
  let daemon: TestDaemon;

  beforeAll(async () => {
    daemon = await TestDaemon.start();
    chmodSync(daemon.runtime, 0o755);
    const bus = await daemon.bus();
    // Makes Bun compile the code before it is measured.
    await latencyMs(() => manager(bus, "GetMachine", "s", ".host"), 300);
  });
  afterAll(() => daemon[Symbol.asyncDispose]());

  const socket = (name: keyof typeof SOCKETS) => join(daemon.runtime, SOCKETS[name]);

  test(
    "1000 simultaneous calls of root and 300 of another user are all answered, while other users hold all that they can",
    async () => {
      const machine = { socket: socket("machine"), word: LIST };
      const holders = [1001, 1002, 1003].map((uid) => new GreedyPeer({ ...machine, attack: "hold", count: 600, uid }));
      await Promise.all(holders.map(({ ready }) => ready));
      const bursts = [0, 0, 0, NOBODY].map(
        (uid) => new GreedyPeer({ ...machine, attack: "burst", count: uid === 0 ? 334 : 300, uid }),
      );
      await Promise.all(bursts.map(({ ready }) => ready));
      for (const peer of [...holders, ...bursts]) await peer[Symbol.asyncDispose]();
    },
    GUARD_MS,
  );

  test(
    "V47 a user's share of connections is 512 over all sockets",
    async () => {
      const bus = await daemon.bus();
      await manager(bus, "GetMachine", "s", ".host");
      const before = resourcesOf(daemon.pid).descriptors;
      const taken = () => resourcesOf(daemon.pid).descriptors - before;
      const holders = (["machine", "users", "hook"] as const).map(
        (name) => new GreedyPeer({ attack: "hold", socket: socket(name), count: 300 }),
      );
      await Promise.all(holders.map(({ ready }) => ready));
      await waitFor(() => expect(taken()).toBe(512), "the share to be used up");
      for (const peer of holders) await peer[Symbol.asyncDispose]();
      await waitFor(() => expect(taken()).toBe(0), "room");
    },
    GUARD_MS,
  );

  for (const [attack, name, count, word, uid] of ATTACKS) {
    const what = `${attack}${word === undefined ? "" : ` ${word}`} on ${SOCKETS[name]}${uid === 0 ? " as root" : ""}`;
    test(
      `${what}: other callers are answered, and no resources stay in use`,
      async () => {
        const bus = await daemon.bus();
        const order: Attack = { attack, socket: socket(name), count, word: word ?? "", uid: uid ?? NOBODY };
        await survives({
          pid: daemon.pid,
          ask: () => manager(bus, "GetMachine", "s", ".host"),
          connections: count,
          begin: () => new GreedyPeer(order),
          meanwhile: async () => {
            // New callers get a connection, too.
            const caller = await connectVarlink(socket("machine"));
            expect((await caller.call(LIST, { name: ".host" }))["name"]).toBe(".host");
            caller.close();
          },
        });
      },
      GUARD_MS,
    );
  }
});
