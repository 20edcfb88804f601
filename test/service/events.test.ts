// io.machined.Events: every start and end is reported, independent of other readers, and across restarts of the daemon.
import { afterEach, describe, expect, test } from "bun:test";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { VarlinkClient } from "../../src/ipc/varlink/client.ts";
import { connectVarlink } from "../../src/ipc/varlink/connect.ts";
import { attachProcess, cgroupOfProcess, cgroupRoot, writeAttribute } from "../../src/kernel/cgroup/cgroup.ts";
import { readSome, writeSome } from "../../src/kernel/file/byte-io.ts";
import type { Fd } from "../../src/kernel/file/fd.ts";
import { openPipe } from "../../src/kernel/process/pipe.ts";
import { connectUnix } from "../../src/kernel/socket/unix.ts";
import { isRoot, manager, needsRoot, register, TestDaemon } from "../lib/daemon.ts";
import { expectNothingLeft, openDescriptors } from "../lib/descriptors.ts";
import { GreedyPeer, hasPython, NOBODY, resourcesOf } from "../lib/greedy.ts";
import { havePrograms } from "../lib/programs.ts";
import { GUARD_MS, waitFor } from "../lib/wait-for.ts";
import { TestImportd } from "./import-support.ts";

const MAIN = join(import.meta.dir, "../../src/main.ts");
/** How many machines start and end at the same time. */
const LANES = 8;
const hasIp = havePrograms("addresses of machines", "ip", "unshare");
const isUnified = isRoot && cgroupRoot().unified;
const unifiedReason = isUnified ? "" : " (left out: needs control groups of version 2)";
const SUBSCRIBE = "io.machined.Events.Subscribe";

interface Seen {
  readonly cursor: string;
  readonly type: string;
  readonly event: string;
  readonly machine?: string;
  readonly image?: string;
  readonly address?: string;
  readonly local?: string;
  readonly result?: string;
  readonly count?: number;
  readonly how?: string;
  readonly status?: number;
  readonly signal?: number;
  readonly leader?: number;
}

/** A reader that reads at once, and keeps its events. */
class Follower {
  readonly seen: Seen[] = [];
  readonly #client: VarlinkClient;
  /** Resolves when the first reply has come: from then on no event is missed. */
  readonly begun: Promise<void>;
  readonly ended: Promise<void>;

  constructor(client: VarlinkClient, parameters: object = {}) {
    this.#client = client;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.begun = promise;
    this.ended = this.#read(parameters, resolve).catch(reject);
  }

  static async of(daemon: TestDaemon, parameters: object = {}): Promise<Follower> {
    const follower = new Follower(await daemon.varlink(), parameters);
    await follower.begun;
    return follower;
  }

  async #read(parameters: object, began: () => void): Promise<void> {
    for await (const reply of this.#client.callMore(SUBSCRIBE, parameters)) {
      this.seen.push(reply as unknown as Seen);
      began();
    }
  }

  /** The events about machines in short form: "started m1". */
  get machines(): string[] {
    return this.seen.filter(({ type }) => type === "machine").map(({ event, machine }) => `${event} ${machine}`);
  }

  get last(): string {
    return (this.seen.at(-1) as Seen).cursor;
  }
}

async function everything(daemon: TestDaemon, parameters: object = { sinceUSec: 0 }): Promise<Follower> {
  const follower = new Follower(await daemon.varlink(), { ...parameters, follow: false });
  await follower.ended;
  await follower.begun;
  return follower;
}

/** A reader that subscribes, and reads only when a test calls it. */
class Sleeper {
  readonly #socket: Fd;

  constructor(daemon: TestDaemon) {
    this.#socket = connectUnix(join(daemon.runtime, "machine/io.systemd.Machine"));
    writeSome(this.#socket, Buffer.from(`{"method":"${SUBSCRIBE}","more":true}\0`));
  }

  /** Reads until the event has come. */
  async readUntil(isLast: (event: Seen) => boolean): Promise<Seen[]> {
    const seen: Seen[] = [];
    let rest = "";
    await waitFor(() => {
      for (let bytes = readSome(this.#socket); bytes !== null; bytes = readSome(this.#socket)) {
        const texts = (rest + bytes.toString()).split("\0");
        rest = texts.pop() ?? "";
        seen.push(...texts.map((text) => (JSON.parse(text) as { parameters: Seen }).parameters));
      }
      if (!seen.some(isLast)) throw new Error(`it has ${seen.length} events`);
    }, "the sleeper's events");
    this.#socket.close();
    return seen;
  }
}

describe.skipIf(!isRoot)(`events${needsRoot}`, () => {
  let daemon: TestDaemon | null = null;

  afterEach(async () => {
    await daemon?.[Symbol.asyncDispose]();
    daemon = null;
  });

  async function started(): Promise<TestDaemon> {
    daemon = await TestDaemon.start();
    chmodSync(daemon.runtime, 0o755);
    return daemon;
  }

  test(
    "a fast reader gets 10 000 starts and ends; a reader that does not read gets the number of missed events, and no memory grows",
    async () => {
      const host = await started();
      const follower = await Follower.of(host);
      const sleeper = new Sleeper(host);
      const bus = await host.bus();
      // A process can be the leader of one machine at a time.
      const startAndEnd = async (lane: number, leader: number) => {
        for (let i = lane; i < 10_000; i += LANES) {
          await register(bus, `m${i}`, leader);
          await manager(bus, "UnregisterMachine", "s", `m${i}`);
        }
      };
      const leaders = await Promise.all(Array.from({ length: LANES }, () => host.leader()));
      await Promise.all(leaders.map((leader, lane) => startAndEnd(lane, leader)));
      await register(bus, "last", leaders[0] as number);
      await waitFor(() => expect(follower.machines.at(-1)).toBe("started last"), "all events");
      const { machines } = follower;
      expect(machines.length).toBe(20_001);
      const places = new Map(machines.map((text, index) => [text, index]));
      for (let i = 0; i < 10_000; i++) {
        const [start = -1, end = -1] = [places.get(`started m${i}`), places.get(`ended m${i}`)];
        if (start < 0 || end < start) throw new Error(`m${i}: started at ${start}, ended at ${end}`);
      }
      expect(resourcesOf(host.pid).memoryMib).toBeLessThan(400);

      const slow = await sleeper.readUntil(({ machine }) => machine === "last");
      const missed = slow.find(({ event }) => event === "missed") as Seen;
      expect(slow[0]?.event).toBe("begin");
      expect(slow.filter(({ type }) => type === "machine").length + (missed.count ?? 0)).toBe(20_001);
      const after = slow.slice(slow.indexOf(missed) + 1);
      // Images of this host may have changed meanwhile.
      const behind = after.filter(({ type }) => type === "machine").map(({ event, machine }) => `${event} ${machine}`);
      expect(behind).toEqual(machines.slice(-behind.length));
      expect(after.length).toBe(10_000);
    },
    GUARD_MS,
  );

  test(
    "the event of an end has exit status or signal, where they are known",
    async () => {
      const host = await started();
      const follower = await Follower.of(host);
      const bus = await host.bus();
      const victim = await host.leader();
      await register(bus, "victim", victim);
      process.kill(victim, "SIGKILL");
      await waitFor(() => expect(follower.machines.at(-1)).toBe("ended victim"), "the end");
      expect(follower.seen.at(-1)).toMatchObject({ how: "killed", signal: 9, leader: victim });
      const child = Bun.spawn(["sh", "-c", "read line; exit 7"], { stdin: "pipe" });
      await register(bus, "child", child.pid);
      child.stdin.end();
      await waitFor(() => expect(follower.machines.at(-1)).toBe("ended child"), "the end");
      expect(follower.seen.at(-1)).toMatchObject({ how: "exited", status: 7 });
      await register(bus, "forgotten", await host.leader());
      await manager(bus, "UnregisterMachine", "s", "forgotten");
      await waitFor(() => expect(follower.machines.at(-1)).toBe("ended forgotten"), "the end");
      expect(follower.seen.at(-1)).toMatchObject({ how: "unregistered" });
    },
    GUARD_MS,
  );

  test(
    "after a restart a cursor is valid: no event is missed or repeated, and running machines are not reported again",
    async () => {
      const host = await started();
      const follower = await Follower.of(host);
      const bus = await host.bus();
      await register(bus, "stays", await host.leader());
      const goes = await host.leader();
      await register(bus, "goes", goes);
      await waitFor(() => expect(follower.seen.length).toBe(3), "both starts");
      const { last } = follower;
      await host.kill("SIGTERM");
      process.kill(goes, "SIGKILL");
      await host.run();
      await register(await host.bus(), "new", await host.leader());
      const later = await everything(host, { cursor: last });
      expect(later.machines).toEqual(["ended goes", "started new"]);
      const all = await everything(host);
      expect(all.machines).toEqual(["started stays", "started goes", "ended goes", "started new"]);
    },
    GUARD_MS,
  );

  test(
    "after kill -9 at any moment cursors keep their order, and a reader gets the end of every machine that it saw start",
    async () => {
      const host = await started();
      const cursors: string[] = [];
      const told: string[] = [];
      let last: string | undefined;
      for (let round = 0; round < 5; round++) {
        const follower = await Follower.of(host, last === undefined ? {} : { cursor: last });
        const leader = await host.leader();
        await register(await host.bus(), `r${round}`, leader);
        await waitFor(() => expect(follower.machines).toContain(`started r${round}`), "the start");
        // Sometimes before the log is written, sometimes after it.
        await host.kill("SIGKILL");
        process.kill(leader, "SIGKILL");
        last = follower.last;
        cursors.push(...follower.seen.filter(({ type }) => type === "machine").map(({ cursor }) => cursor));
        told.push(...follower.machines);
        await host.run();
      }
      const rest = await everything(host, { cursor: last });
      told.push(...rest.machines);
      for (let round = 0; round < 5; round++) expect(told.filter((text) => text === `ended r${round}`).length).toBe(1);
      expect(new Set(cursors).size).toBe(cursors.length);
      // The log has the order in which events were reported.
      const kept = (await everything(host)).machines;
      expect(kept.filter((text) => text.startsWith("ended"))).toEqual(told.filter((text) => text.startsWith("ended")));
    },
    GUARD_MS,
  );

  test(
    "when a leader exits before other processes of its machine, the machine ends with them, and the event has the leader's status",
    async () => {
      const host = await started();
      const follower = await Follower.of(host);
      const leader = Bun.spawn(["sh", "-c", "sleep 1000 & echo $!; read line; exit 4"], { stdin: "pipe" });
      await register(await host.bus(), "two", leader.pid, { create: true });
      const { value } = await leader.stdout.getReader().read();
      const other = Number(Buffer.from(value ?? []).toString());
      // The child may have been started before its parent was moved into the scope.
      attachProcess(cgroupOfProcess(leader.pid), other);
      leader.stdin.end();
      await waitFor(() => expect(follower.machines.at(-1)).toBe("leader-exited two"), "the leader's end");
      expect(follower.seen.at(-1)).toMatchObject({ how: "exited", status: 4 });
      process.kill(other, "SIGKILL");
      await waitFor(() => expect(follower.machines.at(-1)).toBe("ended two"), "the end");
    },
    GUARD_MS,
  );

  test.skipIf(!isUnified)(
    `freezing and thawing a control group is reported as paused and resumed, each time${unifiedReason}`,
    async () => {
      const host = await started();
      const follower = await Follower.of(host);
      const leader = await host.leader();
      await register(await host.bus(), "cold", leader, { create: true });
      const cgroup = cgroupOfProcess(leader);
      const freeze = (value: 0 | 1) => writeAttribute(cgroup, "cgroup.freeze", String(value));
      // Watching begins some moments after the start.
      await waitFor(() => {
        for (const value of [0, 1] as const) freeze(value);
        expect(follower.machines).toContain("paused cold");
      }, "the pause");
      freeze(0);
      await waitFor(() => expect(follower.machines.at(-1)).toBe("resumed cold"), "the machine to go on");
      const before = follower.seen.length;
      for (let i = 0; i < 3000; i++) freeze(i % 2 === 0 ? 1 : 0);
      freeze(1);
      await waitFor(() => expect(follower.machines.at(-1)).toBe("paused cold"), "the last state");
      // Only the resulting differences were reported, not each of the 3000 changes.
      expect(follower.seen.length - before).toBeLessThan(300);
      freeze(0);
      const order = follower.machines.filter((text) => /paused|resumed/.test(text));
      expect(order.filter((text, i) => text === order[i + 1])).toEqual([]);
    },
    GUARD_MS,
  );

  test.skipIf(!hasIp)(
    "changes of a container's addresses are reported; a container that changes them continuously does not fill the log",
    async () => {
      const host = await started();
      const follower = await Follower.of(host, { types: ["address"] });
      const told = () =>
        follower.seen.filter(({ type }) => type === "address").map(({ event, address }) => `${event} ${address}`);
      const leader = await host.leader("--net");
      const inside = async (script: string) => {
        await Bun.spawn(["nsenter", "-t", String(leader), "-n", "sh", "-c", script], {
          stdio: ["ignore", "ignore", "ignore"],
        }).exited;
      };
      await inside(
        "ip link set lo up; ip link add h0 type veth peer name h1; ip link set h0 up; ip link set h1 up; ip addr add 10.77.0.2/24 dev h0",
      );
      await register(await host.bus(), "net", leader);
      await waitFor(() => expect(told()).toContain("added 10.77.0.2"), "the address that it has already");
      await inside("ip addr add 10.77.0.3/24 dev h0");
      await waitFor(() => expect(told()).toContain("added 10.77.0.3"), "another address");
      await inside("ip addr del 10.77.0.3/24 dev h0");
      await waitFor(() => expect(told()).toContain("removed 10.77.0.3"), "the address to go");
      const before = told().length;
      await inside(
        "for i in $(seq 100); do ip addr add 10.78.0.$((i % 250))/32 dev h0; ip addr del 10.78.0.$((i % 250))/32 dev h0; done",
      );
      await inside("ip addr add 10.79.0.1/32 dev h0");
      await waitFor(() => expect(told()).toContain("added 10.79.0.1"), "what there is at last");
      expect(told().length - before).toBeLessThan(100);
      // Addresses of the host's network are not those of a machine.
      await register(await host.bus(), "shared", await host.leader());
      const { descriptors } = resourcesOf(host.pid);
      process.kill(leader, "SIGKILL");
      await waitFor(() => expect(resourcesOf(host.pid).descriptors).toBeLessThan(descriptors - 1), "the sockets to go");
      expect(follower.seen.some(({ machine }) => machine === "shared")).toBe(false);
    },
    GUARD_MS,
  );

  test(
    "images that are made, removed, renamed, replaced or made read-only are reported, and hidden images are not",
    async () => {
      const images = mkdtempSync(join(tmpdir(), "event-images-"));
      const pool = join(images, "var/lib/machines");
      mkdirSync(join(images, "var/lib"), { recursive: true });
      daemon = await TestDaemon.start({ MACHINED_IMAGE_ROOT: images });
      try {
        const host = daemon;
        const follower = await Follower.of(host, { types: ["image"] });
        const told = () =>
          follower.seen.filter(({ type }) => type === "image").map(({ event, image }) => `${event} ${image}`);
        const tells = async (...expected: string[]) => {
          await waitFor(() => expect(told()).toEqual(expected), expected.join(", "));
          follower.seen.length = 0;
        };
        // The pool itself is made while the daemon runs.
        mkdirSync(join(pool, "tree"), { recursive: true });
        await tells("added tree");
        const bus = await host.bus();
        await manager(bus, "CloneImage", "ssb", "tree", "copy", false);
        await tells("added copy");
        writeFileSync(join(pool, "disk.raw"), Buffer.alloc(4096));
        await waitFor(() => expect(told()).toContain("added disk"), "the disk");
        mkdirSync(join(pool, ".hidden"));
        await manager(bus, "RenameImage", "ss", "copy", "other");
        await waitFor(() => expect(told()).toContain("added other"), "the new name");
        expect(told()).toContain("removed copy");
        follower.seen.length = 0;
        await manager(bus, "MarkImageReadOnly", "sb", "disk", true);
        await tells("changed disk");
        await manager(bus, "MarkImageReadOnly", "sb", "disk", false);
        await tells("changed disk");
        await manager(bus, "RemoveImage", "s", "other");
        await tells("removed other");
        rmSync(join(pool, "tree"), { recursive: true });
        await tells("removed tree");
        const all = await everything(host);
        expect(all.seen.some(({ image }) => image === ".hidden" || image === ".host")).toBe(false);
      } finally {
        rmSync(images, { recursive: true });
      }
    },
    GUARD_MS,
  );

  test.skipIf(!hasPython)(
    "transfers are reported by the daemon that runs them; only root may report them",
    async () => {
      const host = await started();
      await using transfers = await TestImportd.start();
      mkdirSync(join(transfers.runtime, "machine"));
      symlinkSync(
        join(host.runtime, "machine/io.systemd.Machine"),
        join(transfers.runtime, "machine/io.systemd.Machine"),
      );
      const follower = await Follower.of(host, { types: ["transfer"] });
      const importd = await transfers.varlink();
      const pull = {
        remote: "http://user:secret@played/progress",
        type: "tar",
        class: "machine",
        local: "img",
        verify: "no",
      };
      const { id } = await importd.call("io.systemd.Import.Pull", pull);
      await waitFor(() => expect(follower.seen.at(-1)?.event).toBe("progress"), "progress");
      await importd.call("io.systemd.Import.Cancel", { id });
      await waitFor(() => expect(follower.seen.at(-1)?.event).toBe("ended"), "the end");
      const seen = follower.seen.slice(1);
      expect(seen[0]).toMatchObject({
        ...{ event: "started", local: "img", transferType: "pull_tar", imageClass: "machine" },
        remote: "http://played/progress",
      });
      expect(seen[1]).toMatchObject({ event: "progress", progress: 0.13 });
      expect(seen.at(-1)).toMatchObject({ result: "canceled", local: "img" });
      // The worker reports each step at once; progress is reported once a second.
      expect(seen.filter(({ event }) => event === "progress").length).toBeLessThan(4);
      const named = await everything(host, { sinceUSec: 0, names: ["img"] });
      expect(named.seen.filter(({ type }) => type === "transfer").length).toBe(seen.length);
      const report = { event: "started", transfer: 1 };
      const call = JSON.stringify({ method: "io.machined.Events.ReportTransfer", parameters: report });
      const user = await callsOf(host, NOBODY, 1, [call]);
      expect(user.text).toBe("0 of 1");
      await user.end();
      const root = await callsOf(host, 0, 1, [call]);
      expect(root.text).toBe("1 of 1");
      await root.end();
      expect((await everything(host)).seen.filter(({ type }) => type === "transfer").length).toBe(seen.length + 1);
    },
    GUARD_MS,
  );

  test("a reader that names machines gets only their events, and the call needs 'more'", async () => {
    const host = await started();
    const follower = await Follower.of(host, { names: ["b"], types: ["machine"] });
    const bus = await host.bus();
    for (const name of ["a", "b"]) await register(bus, name, await host.leader());
    await waitFor(() => expect(follower.machines).toEqual(["started b"]), "the machine");
    const client = await host.varlink();
    await expect(client.call(SUBSCRIBE)).rejects.toMatchObject({ id: "org.varlink.service.ExpectedMore" });
    await expect(client.callMore(SUBSCRIBE, { cursor: "x" }).next()).rejects.toMatchObject({
      parameters: { parameter: "cursor" },
    });
    await expect(client.callMore(SUBSCRIBE, { types: ["x"] }).next()).rejects.toMatchObject({
      id: "org.varlink.service.InvalidParameter",
    });
  });

  /** How many of COUNT calls of a user are not refused; the caller keeps its connections. */
  async function callsOf(host: TestDaemon, uid: number, count: number, call: readonly string[] = []) {
    const socket = join(host.runtime, "machine/io.systemd.Machine");
    const script = join(import.meta.dir, "events-readers.py");
    const child = Bun.spawn(["python3", script, String(uid), socket, String(count), ...call], { stdin: "pipe" });
    const { value } = await child.stdout.getReader().read();
    return {
      text: Buffer.from(value ?? [])
        .toString()
        .trim(),
      end: async () => {
        child.kill("SIGKILL");
        await child.exited;
      },
    };
  }

  test.skipIf(!hasPython)(
    "a user has at most 64 readers, other users still get theirs, and readers that disconnect make room",
    async () => {
      const host = await started();
      const first = await callsOf(host, NOBODY, 100);
      expect(first.text).toBe("64 of 100");
      const other = await callsOf(host, 1001, 3);
      expect(other.text).toBe("3 of 3");
      await Follower.of(host);
      for (const { end } of [first, other]) await end();
      await waitFor(async () => {
        const again = await callsOf(host, NOBODY, 5);
        await again.end();
        expect(again.text).toBe("5 of 5");
      }, "room");
    },
    GUARD_MS,
  );

  test(
    "the client ends when nobody reads its output any more, without waiting for the next event",
    async () => {
      const host = await started();
      const [read, write] = openPipe();
      const child = Bun.spawn([process.execPath, MAIN, "machinectl", "events"], {
        stdio: ["ignore", write.number, "inherit"],
        env: { ...process.env, MACHINED_RUNTIME_DIRECTORY: host.runtime },
      });
      write.close();
      read.close();
      expect(await child.exited).toBe(0);
    },
    GUARD_MS,
  );

  test.skipIf(!hasPython)(
    "readers that do not read block nobody, and leave no descriptors open",
    async () => {
      const host = await started();
      const socket = join(host.runtime, "machine/io.systemd.Machine");
      const follower = await Follower.of(host);
      const bus = await host.bus();
      const leader = await host.leader();
      // Descriptors that are opened only once stay open.
      await register(bus, "first", leader);
      await manager(bus, "UnregisterMachine", "s", "first");
      const before = openDescriptors(host.pid);
      const peer = new GreedyPeer({ attack: "subscribe", socket, count: 64, word: SUBSCRIBE });
      await peer.ready;
      for (let i = 0; i < 2000; i++) {
        await register(bus, `m${i}`, leader);
        await manager(bus, "UnregisterMachine", "s", `m${i}`);
      }
      await waitFor(() => expect(follower.machines.length).toBe(4002), "all events");
      await peer[Symbol.asyncDispose]();
      await waitFor(() => expectNothingLeft(before, host.pid), "what the readers had");
      const caller = await connectVarlink(socket);
      expect((await caller.call("io.systemd.Machine.List", { name: ".host" }))["name"]).toBe(".host");
      caller.close();
    },
    GUARD_MS,
  );
});
