// The rows of `list` that are asked for over D-Bus.
import { expect, test } from "bun:test";
import { runMachinectl } from "../../../../src/cli/program/machinectl.ts";
import type { Bus } from "../../../../src/cli/session/ports.ts";
import { MINI } from "../fake-machines.ts";
import { FakeProcess, WORLDS, type World } from "../fake-world.ts";

/** dbus-daemon allows a connection that many calls without a reply. */
const MOST_CALLS = 128;

test.each([
  ["the usual ones", []],
  ["all", ["--columns=machine,os,version,addresses,unit,uptime"]],
])(
  "the columns %s of very many machines are asked for by as many calls as a message bus allows",
  async (_, options) => {
    const machines = Array.from({ length: 300 }, (_unused, index) => ({ ...MINI, name: `m${index}` }));
    const client = new FakeProcess({ ...(WORLDS["one"] as World), machines }, { sockets: ["system"] });
    let [pending, most] = [0, 0];
    client.connectBus = async (): Promise<Bus> => ({
      ...client.managers.bus(),
      call: async (call) => {
        most = Math.max(most, ++pending);
        await new Promise((resolve) => setImmediate(resolve));
        pending--;
        return client.managers.bus().call(call);
      },
    });
    expect([await runMachinectl(["list", ...options], client), client.stderr]).toEqual([0, ""]);
    expect(client.stdout).toContain("300 machines listed.");
    expect(most).toBeLessThan(MOST_CALLS);
  },
);
