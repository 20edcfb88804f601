// Calls that arrive on the bus while the daemon is not ready: the service manager may not answer for many seconds.
import { expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Log } from "../../../src/base/log.ts";
import { SystemBus } from "../../../src/daemon/system-bus.ts";
import { BusServer } from "../../../src/ipc/bus/server.ts";
import { FairTurns } from "../../../src/ipc/fair-turns.ts";
import { PlayedBroker } from "../../lib/played-broker.ts";
import { waitFor } from "../../lib/wait-for.ts";

const NAME = "org.example.Early";
const PEER = { path: "/", interface: "org.freedesktop.DBus.Peer" };
const LOG = { debug: () => {}, info: () => {}, warning: () => {} } as unknown as Log;

test("a sender of many or long calls has its share of those that wait, and others are answered", async () => {
  const root = mkdtempSync(join(tmpdir(), "machined-early-"));
  await using broker = new PlayedBroker(join(root, "bus"));
  const before = process.env["DBUS_SYSTEM_BUS_ADDRESS"];
  process.env["DBUS_SYSTEM_BUS_ADDRESS"] = broker.address;
  const server = new BusServer({
    tree: { find: () => null },
    machineId: () => "0".repeat(32),
    isPrivileged: () => true,
    bug: (error) => console.error(error),
  });
  const ready = Promise.withResolvers<void>();
  const bus = new SystemBus(NAME, { kind: "system" }, server, new FairTurns(), LOG, { connected: () => ready.promise });
  try {
    const connecting = bus.connect();
    await broker.untilOwned(NAME);
    const outcomes = { answered: 0, refused: 0 };
    const call = (sender: string, size: number) => {
      const body = size === 0 ? {} : { signature: "ay", body: [Buffer.alloc(size)] };
      return broker.call(sender, NAME, { ...PEER, member: size === 0 ? "Ping" : "Long", ...body });
    };
    const count = (answer: Promise<unknown>) =>
      answer.then(
        () => outcomes.answered++,
        ({ errorName }) => {
          expect(errorName).toMatch(/LimitsExceeded|UnknownMethod|UnknownObject/);
          if (errorName.endsWith("LimitsExceeded")) outcomes.refused++;
          else outcomes.answered++;
        },
      );
    const [many, long, other] = [broker.caller(1000), broker.caller(1001), broker.caller(1002)];
    const all = Array.from({ length: 1100 }, () => count(call(many, 0)));
    for (let i = 0; i < 16; i++) all.push(count(call(long, 1 << 20)));
    const answer = call(other, 0);
    await waitFor(() => expect(outcomes.refused).toBe(1100 - 512 + 16 - 7), "the refusals");
    expect(outcomes.answered).toBe(0);
    ready.resolve();
    await connecting;
    expect(await answer).toEqual([]);
    await Promise.all(all);
    expect(outcomes.answered).toBe(512 + 7);
  } finally {
    await bus.close();
    if (before === undefined) delete process.env["DBUS_SYSTEM_BUS_ADDRESS"];
    else process.env["DBUS_SYSTEM_BUS_ADDRESS"] = before;
    rmSync(root, { recursive: true });
  }
});
