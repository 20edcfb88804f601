// io.machined.Stats: the resources of machines, once and as a stream.
import { expect, test } from "bun:test";
import { VarlinkError } from "../../src/ipc/varlink/client.ts";
import { networkBytes } from "../../src/stats/meter.ts";
import { needsRoot, register, TestDaemon } from "../lib/daemon.ts";
import { waitFor } from "../lib/wait-for.ts";

const GET = "io.machined.Stats.Get";
const SECOND_USEC = 1_000_000;

async function errorOf(call: Promise<unknown>): Promise<string> {
  const error = await call.then(
    () => null,
    (error: unknown) => error,
  );
  return error instanceof VarlinkError ? error.id : String(error);
}

test.skipIf(needsRoot !== "")(`the resources of one machine and of all machines are returned${needsRoot}`, async () => {
  await using daemon = await TestDaemon.start();
  const [bus, varlink] = [await daemon.bus(), await daemon.varlink()];
  expect(await errorOf(varlink.callAll(GET))).toBe("io.systemd.Machine.NoSuchMachine");
  await register(bus, "one", await daemon.leader("--net"));
  await register(bus, "two", await daemon.leader());
  const one = await varlink.call(GET, { machine: "one" });
  expect(one).toMatchObject({ machine: "one", class: "container" });
  expect(one["timestampUSec"]).toBeNumber();
  const all = await varlink.callAll(GET);
  expect(all.map(({ machine }) => machine)).toEqual(["one", "two"]);
  // A private network is counted; the host's network is not counted for a machine.
  expect(one["receivedBytes"]).toBe(0);
  expect(all[1]?.["receivedBytes"]).toBeUndefined();
  expect(await errorOf(varlink.call(GET))).toBe("org.varlink.service.ExpectedMore");
});

test.skipIf(needsRoot !== "")(
  `the network of a machine with many interfaces is counted whole${needsRoot}`,
  async () => {
    await using daemon = await TestDaemon.start();
    const [bus, varlink, leader] = [await daemon.bus(), await daemon.varlink(), await daemon.leader("--net")];
    await register(bus, "many", leader);
    const inNetwork = (input: string, ...command: string[]) =>
      Bun.spawnSync(["nsenter", "-t", String(leader), "-n", ...command], { stdin: Buffer.from(input) });
    const pairs = Array.from({ length: 60 }, (_, index) => `link add a${index} type veth peer name b${index}\n`);
    // The kernel itself sends over the last pair, when both of its ends are up.
    const up = ["a59", "b59"].map((name) => `link set ${name} up\n`);
    expect(inNetwork([...pairs, ...up].join(""), "ip", "-batch", "-").exitCode).toBe(0);
    const received = () => networkBytes(inNetwork("", "cat", "/proc/net/dev").stdout.toString()).received;
    await waitFor(() => expect(received()).toBeGreaterThan(0), "something that was received");
    const before = received();
    expect((await varlink.call(GET, { machine: "many" }))["receivedBytes"]).toBeGreaterThanOrEqual(before);
  },
);

test.skipIf(needsRoot !== "")(`invalid names and intervals are refused${needsRoot}`, async () => {
  await using daemon = await TestDaemon.start();
  const varlink = await daemon.varlink();
  expect(await errorOf(varlink.call(GET, { machine: "nobody" }))).toBe("io.systemd.Machine.NoSuchMachine");
  expect(await errorOf(varlink.call(GET, { machine: "/" }))).toBe("org.varlink.service.InvalidParameter");
  expect(await errorOf(varlink.call(GET, { machine: ".host" }))).toBe("io.systemd.Machine.NotSupported");
  for (const intervalUSec of [0, SECOND_USEC - 1, -1, 86_400 * SECOND_USEC + 1]) {
    const refused = errorOf(varlink.callAll(GET, { intervalUSec }));
    expect([intervalUSec, await refused]).toEqual([intervalUSec, "org.varlink.service.InvalidParameter"]);
  }
});

test.skipIf(needsRoot !== "")(`a stream sends values repeatedly, and ends with the machine${needsRoot}`, async () => {
  await using daemon = await TestDaemon.start();
  const [bus, varlink] = [await daemon.bus(), await daemon.varlink()];
  const leader = await daemon.leader();
  await register(bus, "one", leader);
  const rounds: unknown[] = [];
  const reading = (async () => {
    for await (const round of varlink.callMore(GET, { machine: "one", intervalUSec: SECOND_USEC })) {
      rounds.push(round["timestampUSec"]);
      if (rounds.length === 3) process.kill(leader, "SIGKILL");
    }
  })();
  expect(await errorOf(reading)).toBe("io.systemd.Machine.NoSuchMachine");
  expect(rounds.length).toBeGreaterThanOrEqual(3);
  expect(new Set(rounds).size).toBe(rounds.length);
});

test.skipIf(needsRoot !== "")(`a user may have eight streams, and closing one allows another${needsRoot}`, async () => {
  await using daemon = await TestDaemon.start();
  await register(await daemon.bus(), "one", await daemon.leader());
  const open = async () => {
    const client = await daemon.varlink();
    const stream = client.callMore(GET, { intervalUSec: SECOND_USEC });
    const first = await stream.next();
    return { client, name: first.value?.["machine"] };
  };
  const streams = [];
  for (let count = 0; count < 8; count++) streams.push(await open());
  expect(streams.map(({ name }) => name)).toEqual(new Array(8).fill("one"));
  expect(await errorOf(open())).toBe("io.systemd.Machine.TooManyOperations");
  streams[0]?.client.close();
  await waitFor(async () => expect((await open()).name).toBe("one"), "room for a stream");
});
