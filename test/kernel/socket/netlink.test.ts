import { expect, spyOn, test } from "bun:test";
import { networkInterfaces } from "node:os";
import { watch } from "../../../src/kernel/event/poller.ts";
import { PidRef } from "../../../src/kernel/process/pidref.ts";
import { interfaceName } from "../../../src/kernel/socket/interface-name.ts";
import {
  dumpAddresses,
  dumpNeighbours,
  hasChanged,
  openAddressEvents,
  openAddressSocket,
} from "../../../src/kernel/socket/netlink.ts";
import { socketPair } from "../../../src/kernel/socket/pair.ts";
import { expectNothingLeft, openDescriptors } from "../../lib/descriptors.ts";
import { GUARD_MS, waitFor } from "../../lib/wait-for.ts";
import { MANY, rootTest, startNamespaced, until } from "../support.ts";

function ip(pid: number, ...args: string[]): void {
  const run = Bun.spawnSync(["nsenter", `--net=/proc/${pid}/ns/net`, "ip", ...args]);
  if (run.exitCode !== 0) throw new Error(run.stderr.toString());
}

test("the addresses are those of Node's networkInterfaces()", async () => {
  using socket = openAddressSocket(null);
  const ours = () =>
    dumpAddresses(socket).map(
      (one) => `${interfaceName(one.ifindex)} ${one.bytes.toString("hex")}/${one.prefixLength}`,
    );
  const theirs = () =>
    Object.entries(networkInterfaces()).flatMap(([name, rows]) =>
      (rows ?? []).map((row) => `${name} ${hex(row.address)}/${row.cidr?.split("/")[1]}`),
    );
  // The host's interfaces may change between two readings.
  await waitFor(() => expect(ours().sort()).toEqual(theirs().sort()), "the same addresses");
  for (const neighbour of dumpNeighbours(socket)) expect([4, 16]).toContain(neighbour.bytes.length);
});

function hex(address: string): string {
  if (!address.includes(":")) return Buffer.from(address.split(".").map(Number)).toString("hex");
  const [head = "", tail = ""] = address.split("%")[0]?.split("::") ?? [];
  const groups = (text: string) => text.split(":").filter((group) => group !== "");
  const missing = 8 - groups(head).length - groups(tail).length;
  return [...groups(head), ...new Array(address.includes("::") ? missing : 0).fill("0"), ...groups(tail)]
    .map((group) => group.padStart(4, "0"))
    .join("");
}

test("interfaceName() returns the name of an interface, and null for an unknown index", () => {
  for (let i = 0; i < MANY; i++) if (interfaceName(1) !== "lo") throw new Error(`wrong at ${i}`);
  expect(interfaceName(987654)).toBeNull();
});

test("a signal does not end a dump: it waits for the remaining time", async () => {
  let signals = 0;
  const count = () => void signals++;
  process.on("SIGUSR2", count);
  const sending = "while kill -USR2 $0; do :; done";
  await using _sender = Bun.spawn(["sh", "-c", sending, String(process.pid)], { stderr: "ignore" });
  try {
    await waitFor(() => expect(signals).toBeGreaterThan(0), "a signal");
    // The other end of the pair represents a kernel that does not reply.
    const [socket, peer] = socketPair("datagram");
    using _socket = socket;
    using _peer = peer;
    expect(() => dumpAddresses(socket)).toThrow("netlink: Connection timed out");
  } finally {
    _sender.kill();
    await _sender.exited;
    process.off("SIGUSR2", count);
  }
});

rootTest("addresses of another network namespace are read, and their changes are reported", async () => {
  await using sleeping = await startNamespaced(["--net"]);
  using process = PidRef.of(sleeping.pid);
  using socket = openAddressSocket(process);
  using events = openAddressEvents(process);
  expect(hasChanged(events)).toBe(false);
  let announced = 0;
  using _watch = watch(events, { read: true }, () => {
    if (hasChanged(events)) announced++;
  });
  ip(process.pid, "link", "set", "lo", "up");
  ip(process.pid, "address", "add", "192.0.2.7/24", "dev", "lo");
  await until(() => announced > 0, "the announcement");
  const addresses = dumpAddresses(socket);
  expect(addresses.map((one) => one.bytes.toString("hex"))).toEqual(["7f000001", "c0000207", `${"0".repeat(31)}1`]);
  expect(addresses[0]).toMatchObject({ family: 2, ifindex: 1, scope: 254, prefixLength: 8, label: "lo" });
  expect(addresses[1]).toMatchObject({ scope: 0, prefixLength: 24 });
  ip(process.pid, "link", "add", "bridge0", "type", "bridge");
  ip(process.pid, "link", "set", "bridge0", "up");
  ip(process.pid, "neighbour", "add", "192.0.2.9", "lladdr", "02:00:00:00:00:09", "dev", "bridge0");
  const neighbour = dumpNeighbours(socket).find((one) => one.bytes.toString("hex") === "c0000209");
  expect(neighbour?.linkAddress?.toString("hex")).toBe("020000000009");
  expect(neighbour?.state).toBe(0x80);
});

rootTest(
  "addresses that fill more than one packet are read, and dumps stay correct in a hot loop",
  async () => {
    await using sleeping = await startNamespaced(["--net"]);
    using process = PidRef.of(sleeping.pid);
    for (const [count, rounds] of [
      [1, 10_000],
      [900, 50],
    ] as const) {
      const batch = Array.from({ length: count }, (_, i) => `address replace 10.${i >> 8}.${i & 255}.1/32 dev lo`).join(
        "\n",
      );
      const run = Bun.spawnSync(["nsenter", `--net=/proc/${process.pid}/ns/net`, "ip", "-batch", "-"], {
        stdin: Buffer.from(batch),
      });
      expect(run.exitCode).toBe(0);
      using socket = openAddressSocket(process);
      const before = openDescriptors();
      for (let i = 0; i < rounds; i++) if (dumpAddresses(socket).length !== count) throw new Error(`wrong at ${i}`);
      expectNothingLeft(before);
    }
  },
  GUARD_MS,
);

test("an answer that is there is read, also where the time for it has passed meanwhile", () => {
  using self = PidRef.of(process.pid);
  using socket = openAddressSocket(self);
  const expected = dumpAddresses(socket);
  let nowMs = performance.now();
  const clock = spyOn(performance, "now").mockImplementation(() => {
    nowMs += 60_000;
    return nowMs;
  });
  try {
    expect(dumpAddresses(socket)).toEqual(expected);
  } finally {
    clock.mockRestore();
  }
});

rootTest("a table that is too large is an error within the time limit, and watching it ends", async () => {
  await using sleeping = await startNamespaced(["--net"]);
  using process = PidRef.of(sleeping.pid);
  using socket = openAddressSocket(process);
  using events = openAddressEvents(process);
  const lines = Array.from({ length: 4200 }, (_, i) => `addr add 10.${i >> 8}.${i & 255}.1/8 dev lo`).join("\n");
  const batch = Bun.spawnSync(["nsenter", `--net=/proc/${sleeping.pid}/ns/net`, "ip", "-batch", "-"], {
    stdin: Buffer.from(`${lines}\n`),
  });
  expect(batch.stderr.toString()).toBe("");
  expect(() => dumpAddresses(socket)).toThrow("No buffer space available");
  // The rest of that answer is not mistaken for the next answer.
  using another = openAddressSocket(process);
  expect(dumpNeighbours(another)).toEqual([]);
  expect(hasChanged(events)).toBe(true);
});
