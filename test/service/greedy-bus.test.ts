// Greedy peers on the bus, and machines with a hostile bus and hostile files: others are answered meanwhile, and
// afterwards the daemon holds no more resources than before.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type BusClient, connectBus } from "../../src/ipc/bus/client.ts";
import { ServerHandshake } from "../../src/ipc/bus/handshake.ts";
import { BusStream, type Incoming } from "../../src/ipc/bus/stream.ts";
import { type Fd, openPath } from "../../src/kernel/file/fd.ts";
import { Acceptor } from "../../src/kernel/socket/acceptor.ts";
import { streamOn } from "../../src/kernel/socket/stream.ts";
import { listenUnix } from "../../src/kernel/socket/unix.ts";
import { errorOf, isRoot, manager, register, TestDaemon } from "../lib/daemon.ts";
import { expectNothingLeft, openDescriptors } from "../lib/descriptors.ts";
import { GreedyPeer, hasPython, latencyMs, survives } from "../lib/greedy.ts";
import { hasBusDaemon, TestBus } from "../lib/private-bus.ts";
import { GUARD_MS, waitFor } from "../lib/wait-for.ts";
import { deadFileSystem, TestMachine } from "./open-support.ts";

const canRun = isRoot && hasPython && hasBusDaemon;
const reason = canRun ? "" : " (left out: needs root, python3 and dbus-daemon)";

/** The bus of a hostile machine: after each message that it receives, it sends `flood`. */
class HostileBus implements Disposable {
  readonly directory = mkdtempSync(join(tmpdir(), "machined-hostile-"));
  readonly socket = join(this.directory, "bus");
  readonly #acceptor: Acceptor;
  readonly #peers = new Set<BusStream>();
  readonly #file = openPath("/dev/null", "read");
  /** The error with which Hello is answered; null for a reply. */
  refusal: { readonly errorName: string; readonly signature: string; readonly body: unknown[] } | null = null;
  floods = 0;
  /** How many replies it got to its own calls. */
  replies = 0;
  #serial = 0;

  constructor() {
    this.#acceptor = new Acceptor(listenUnix(this.socket), { welcome: (socket) => this.#welcome(socket) });
  }

  #welcome(socket: Fd): void {
    const handlers = {
      message: (message: Incoming) => this.#answer(message, peer),
      end: () => this.#peers.delete(peer),
    };
    const peer: BusStream = new BusStream(streamOn(socket), handlers, {
      handshake: new ServerHandshake(0, "00"),
      takesDescriptors: 253,
    });
    this.#peers.add(peer);
  }

  #answer(message: Incoming, peer: BusStream): void {
    for (const fd of message.descriptors) fd.close();
    if (message.type !== 1) {
      this.replies++;
      return;
    }
    const hello = message.member === "Hello";
    if (hello && this.refusal !== null) {
      peer.send({ type: 1, serial: ++this.#serial, path: "/", interface: "a.b", member: "C" });
      peer.send({ ...this.refusal, type: 3, replySerial: message.serial, serial: ++this.#serial });
      return;
    }
    this.#flood(peer);
    const [signature, body] = hello ? ["s", [":1.7"]] : ["oah", ["/org/job", Array(200).fill(this.#file)]];
    peer.send({
      type: 2,
      replySerial: message.serial,
      serial: ++this.#serial,
      signature: signature as string,
      body: body as unknown[],
    });
  }

  /** Signals, calls and unexpected replies, with as many descriptors as possible. */
  #flood(peer: BusStream): void {
    this.floods++;
    const head = { path: "/", interface: "a.b", member: "C", signature: "ah", body: [Array(200).fill(this.#file)] };
    for (let i = 0; i < 10; i++) {
      peer.send({ ...head, type: 4, serial: ++this.#serial });
      peer.send({ ...head, type: 1, serial: ++this.#serial });
      peer.send({ ...head, type: 2, replySerial: 7000 + i, serial: ++this.#serial });
    }
  }

  [Symbol.dispose](): void {
    this.#acceptor.close();
    for (const peer of [...this.#peers]) peer.close();
    this.#file.close();
    rmSync(this.directory, { recursive: true });
  }
}

/** Two calls in each of ten rounds; a round is repeated where a call failed before it reached the hostile bus. */
const [ROUNDS, MOST_ROUNDS, FLOODS] = [10, 40, 20];

describe.skipIf(!canRun)(`greedy peers on the bus, and hostile machines${reason}`, () => {
  let daemon: TestDaemon;
  let systemBus: TestBus;
  let bus: BusClient;
  const ends: BusClient[] = [];

  beforeAll(async () => {
    systemBus = await TestBus.start();
    chmodSync(systemBus.directory, 0o755);
    daemon = await TestDaemon.start({ DBUS_SYSTEM_BUS_ADDRESS: systemBus.address });
    bus = await systemBus.connect();
    ends.push(bus);
    await waitFor(() => manager(bus, "GetMachine", "s", ".host"), "the name on the bus");
    await latencyMs(() => manager(bus, "GetMachine", "s", ".host"), 300);
  });
  afterAll(async () => {
    for (const end of ends) end.close();
    await daemon[Symbol.asyncDispose]();
    await systemBus[Symbol.asyncDispose]();
  });

  /** The broker itself refuses messages while descriptors wait to be received; then the call is repeated. */
  const ask = async () => {
    for (;;) {
      const error = await manager(bus, "GetMachine", "s", ".host").then(
        () => null,
        (reason: { errorName?: string }) => reason,
      );
      if (error === null) return;
      if (error.errorName !== "org.freedesktop.DBus.Error.LimitsExceeded") throw error;
    }
  };

  for (const [attack, count, word] of [
    ["bus_calls", 20, "ListMachines"],
    ["bus_calls", 20, "ListImages"],
    ["bus_descriptors", 20, ""],
  ] as const) {
    test(
      `${attack} ${word}: other callers are answered, and no resources stay in use`,
      async () => {
        const begin = () => new GreedyPeer({ attack, socket: systemBus.socket, count, word });
        await survives({ pid: daemon.pid, ask, connections: 0, begin });
      },
      GUARD_MS,
    );
  }

  test(
    "descriptors that a machine's bus sends do not stay open in the daemon",
    async () => {
      using hostile = new HostileBus();
      // Only the path of the socket is used.
      await using machine = await TestMachine.start(["--mount"], hostile as unknown as TestBus);
      const own = await connectBus({ kind: "private", path: join(daemon.runtime, "machine/private") });
      ends.push(own);
      await register(own, "hostile", machine.pid);
      await manager(own, "ListMachines");
      const before = openDescriptors(daemon.pid);
      const reasons: string[] = [];
      for (let round = 0; round < ROUNDS || (hostile.floods < FLOODS && round < MOST_ROUNDS); round++) {
        const login = manager(own, "OpenMachineLogin", "s", "hostile");
        const shell = manager(own, "OpenMachineShell", "sssasas", "hostile", "root", "/bin/true", [], []);
        for (const answer of await Promise.allSettled([login, shell])) {
          if (answer.status === "fulfilled") (answer.value[0] as Disposable)[Symbol.dispose]();
          else reasons.push(String(answer.reason));
        }
      }
      // Newer kernels refuse the descriptors and the bytes with them.
      const isFlooded = hostile.floods >= FLOODS;
      expect([isFlooded, ...(isFlooded ? [] : reasons)]).toEqual([true]);
      await waitFor(() => expectNothingLeft(before, daemon.pid), "the descriptors");
      await manager(own, "UnregisterMachine", "s", "hostile");
    },
    GUARD_MS,
  );

  test(
    "a machine's bus that answers with an invalid or long error does not end the daemon's connection to the bus",
    async () => {
      using hostile = new HostileBus();
      await using machine = await TestMachine.start(["--mount"], hostile as unknown as TestBus);
      await register(bus, "rude", machine.pid);
      const [owner] = await bus.driver("GetNameOwner", "s", ["org.freedesktop.machine1"]);
      const login = () => errorOf(manager(bus, "OpenMachineLogin", "s", "rude"));
      hostile.refusal = { errorName: "a.b", signature: "ay", body: [Buffer.from("a\0b")] };
      expect(await login()).toBe("a.b: ");
      // Memory and time that the daemon would need for each of many calls.
      hostile.refusal = { errorName: "a.b", signature: "s", body: ["long".repeat(25 << 10)] };
      expect(await login()).toBe("Disconnected: Connection terminated: the peer sends too much");
      hostile.refusal = { errorName: "a.b\n.c", signature: "s", body: ["no"] };
      expect(await login()).toBe("Timeout: The system bus in container rude does not answer.");
      // Nor replies that it does not read.
      expect(hostile.replies).toBe(0);
      expect(await bus.driver("GetNameOwner", "s", ["org.freedesktop.machine1"])).toEqual([owner]);
      await manager(bus, "UnregisterMachine", "s", "rude");
    },
    GUARD_MS,
  );

  test(
    "machines with endless files, or files that never answer, do not block other callers",
    async () => {
      const endless = "mount --bind /dev/zero /etc/os-release";
      await using zero = await TestMachine.start(["--mount"], null, endless);
      await using dead = await TestMachine.start(["--mount"], null, deadFileSystem("/etc"));
      const own = await connectBus({ kind: "private", path: join(daemon.runtime, "machine/private") });
      ends.push(own);
      await register(own, "zero", zero.pid);
      await register(own, "dead", dead.pid);
      const begin = () => {
        const calls = ["zero", "dead", "zero", "dead"].map((name) =>
          errorOf(manager(own, "GetMachineOSRelease", "s", name)),
        );
        const ready = Promise.all(calls).then((errors) => {
          expect(errors.filter((text) => text === "")).toEqual([]);
        });
        const end = async () => {
          await manager(own, "UnregisterMachine", "s", "dead");
          await dead[Symbol.asyncDispose]();
        };
        return { ready, [Symbol.asyncDispose]: end };
      };
      await survives({ pid: daemon.pid, ask, connections: 0, begin });
      await manager(own, "UnregisterMachine", "s", "zero");
    },
    GUARD_MS,
  );
});
