// The socket of names, as the C library's module asks it.
import { expect, test } from "bun:test";
import { join } from "node:path";
import { isRoot, needsRoot, register, TestDaemon } from "../lib/daemon.ts";
import { waitFor } from "../lib/wait-for.ts";

/** Returns the answer to a line. */
async function ask(daemon: TestDaemon, line: string): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<string>();
  let answer = "";
  const data = (_socket: unknown, bytes: Buffer) => {
    answer += bytes.toString();
  };
  const socket = await Bun.connect({
    unix: join(daemon.runtime, "machine/names"),
    socket: { data, close: () => resolve(answer) },
  });
  socket.write(`${line}\n`);
  return promise;
}

/** Returns the addresses in the answer about a machine. */
async function addressesOf(daemon: TestDaemon): Promise<string[]> {
  return (await ask(daemon, "HOST web")).trimEnd().split("\n").slice(1);
}

const ofIpv6 = (lines: readonly string[]) => lines.filter((line) => line.startsWith("6 "));

/** Gives a leader's network addresses. Those of IPv6 can be used when a thread of the kernel has seen to them. */
function addAddresses(leader: number, addresses: readonly string[]): void {
  const lines = addresses.map((address) => `addr add ${address} dev lo${address.includes(":") ? " nodad" : ""}\n`);
  const command = ["nsenter", "-t", String(leader), "-n", "ip", "-batch", "-"];
  expect(Bun.spawnSync(command, { stdin: Buffer.from(`link set lo up\n${lines.join("")}`) }).exitCode).toBe(0);
}

test.skipIf(!isRoot)(
  `of a machine with hundreds of addresses, the answer has as many as the C library's module takes${needsRoot}`,
  async () => {
    await using daemon = await TestDaemon.start();
    const [bus, leader] = [await daemon.bus(), await daemon.leader("--net")];
    await register(bus, "web", leader);
    const numbers = (count: number) => Array.from({ length: count }, (_, index) => index + 1);
    addAddresses(leader, [
      ...numbers(200).map((number) => `10.77.0.${number}/32`),
      ...numbers(3).map((number) => `fd77::${number}/128`),
    ]);
    await waitFor(async () => {
      const lines = await addressesOf(daemon);
      expect(lines.length).toBe(64);
      expect(lines.slice(0, 2)).toEqual(["4 0a4d0001", "4 0a4d0002"]);
      // Who asks for one family gets it.
      expect(ofIpv6(lines).length).toBe(3);
    }, "the first addresses");
    addAddresses(
      leader,
      numbers(200).map((number) => `fd78::${number.toString(16)}/128`),
    );
    await waitFor(async () => {
      const half = await addressesOf(daemon);
      expect([half.length, ofIpv6(half).length]).toEqual([64, 32]);
    }, "the other addresses");
  },
);
