// Questions to polkit: they use a connection of their own, and are limited in number and in time.
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Manager } from "../../src/api/machine1.ts";
import { ErrnoError } from "../../src/base/error.ts";
import { Authority } from "../../src/daemon/permission/authority.ts";
import { type Caller, callerOnSocket } from "../../src/ipc/caller.ts";
import { VarlinkClient } from "../../src/ipc/varlink/client.ts";
import { openPath } from "../../src/kernel/file/fd.ts";
import { withIdentity } from "../../src/kernel/process/namespace.ts";
import { SocketStream } from "../../src/kernel/socket/stream.ts";
import { acceptPeer, connectUnix, listenUnix } from "../../src/kernel/socket/unix.ts";
import { errorOf, isRoot, manager, needsRoot, register, TestDaemon } from "../lib/daemon.ts";
import { PlayedBroker } from "../lib/played-broker.ts";
import { waitFor } from "../lib/wait-for.ts";

const NAME = "org.freedesktop.machine1";
const USER = 1234;
const OTHER = 1235;
const PEOPLE_OF_EACH = 8;
const WAITING_OF_EACH = 128;

describe.skipIf(!isRoot)(`questions to polkit${needsRoot}`, () => {
  const root = mkdtempSync(join(tmpdir(), "machined-authority-"));
  const broker = new PlayedBroker(join(root, "bus"));
  let daemon: TestDaemon;

  beforeAll(async () => {
    daemon = await TestDaemon.start({
      DBUS_SYSTEM_BUS_ADDRESS: broker.address,
      MACHINED_REGISTER_POLICY: "polkit",
      MACHINED_SERVICE_MANAGER: "own",
    });
    await broker.untilOwned(NAME);
    await register(await daemon.bus(), "web", await daemon.leader());
  });
  afterAll(async () => {
    await daemon[Symbol.asyncDispose]();
    await broker[Symbol.asyncDispose]();
    rmSync(root, { recursive: true, force: true });
  });
  afterEach(() => {
    broker.questions.length = 0;
    broker.cancelled.length = 0;
    broker.onQuestion = () => {};
  });

  const terminate = (sender: string, interactive = true) =>
    broker.call(sender, NAME, {
      ...{ path: "/org/freedesktop/machine1", interface: Manager.name, member: "TerminateMachine" },
      ...{ signature: "s", body: ["web"], interactive },
    });
  const until = (what: string, isSo: () => boolean) =>
    waitFor(() => {
      if (!isSo()) throw new Error("not yet");
    }, what);
  const rulesOfDaemon = () => broker.rules.get(broker.ownerOf(NAME) ?? "") ?? 0;
  const answerAll = () => {
    broker.onQuestion = (question) => question.answer(false);
    for (const question of broker.questions) question.answer(false);
  };

  test("a stranger's signal with a descriptor ends neither the connection to polkit nor that of the daemon", async () => {
    using file = openPath("/dev/null", "read");
    const owner = broker.ownerOf(NAME) ?? "";
    const waiting = errorOf(terminate(broker.caller(USER)));
    await until("the question", () => broker.questions.length === 1);
    const [question] = broker.questions;
    for (const connection of [question?.from ?? "", owner]) broker.disturb(connection, file);
    broker.onQuestion = ({ answer }) => answer(false);
    expect(await errorOf(terminate(broker.caller(OTHER)))).toStartWith("AccessDenied");
    question?.answer(false);
    expect(await waiting).toStartWith("AccessDenied");
    expect(broker.questions.map(({ from }) => from)).toEqual(Array(2).fill(question?.from));
    expect(broker.ownerOf(NAME)).toBe(owner);
  });

  test("a user whose agent never answers does not block calls of root or of other users", async () => {
    const rulesBefore = rulesOfDaemon();
    const sender = broker.caller(USER);
    const count = PEOPLE_OF_EACH + WAITING_OF_EACH;
    const calls = Array.from({ length: count }, () => errorOf(terminate(sender)));
    await until("the first questions", () => broker.questions.length === PEOPLE_OF_EACH);
    // One more call than may wait is refused at once, without a question to polkit.
    expect(await errorOf(terminate(sender))).toStartWith("LimitsExceeded");
    expect(new Set(broker.questions.map(({ from }) => from)).has(broker.ownerOf(NAME) ?? "")).toBe(false);
    expect(rulesOfDaemon() - rulesBefore).toBe(1);

    // polkit is not asked about root, whose calls are answered.
    const bus = await daemon.bus();
    await register(bus, "of-root", await daemon.leader(), { create: true });
    await manager(bus, "UnregisterMachine", "s", "of-root");
    // polkit is asked at once about another user, and about the same user in a call without interactive authorization.
    broker.onQuestion = (question) => question.answer(false);
    expect(await errorOf(terminate(broker.caller(OTHER)))).toStartWith("AccessDenied");
    expect(await errorOf(terminate(sender, false))).toStartWith("AccessDenied");

    broker.questions.length = PEOPLE_OF_EACH;
    answerAll();
    for (const error of await Promise.all(calls)) expect(error).toStartWith("AccessDenied");
    await until("the match rules to be gone", () => rulesOfDaemon() === rulesBefore);
  });

  test("when a caller disconnects, its questions are cancelled, and the next ones are sent", async () => {
    const leaver = broker.caller(USER);
    const stayer = broker.caller(USER);
    for (let i = 0; i < PEOPLE_OF_EACH; i++) terminate(leaver).catch(() => {});
    await until("the questions", () => broker.questions.length === PEOPLE_OF_EACH);
    const waiting = errorOf(terminate(stayer));
    const asked = broker.questions.slice();
    broker.leave(leaver);
    await until("the questions to be taken back", () => broker.cancelled.length === PEOPLE_OF_EACH);
    expect(broker.cancelled.sort()).toEqual(asked.map(({ cancellation }) => cancellation).sort());
    // polkit answers a question that was cancelled.
    for (const question of asked) question.answer(false);
    await until("the next question", () => broker.questions.length === PEOPLE_OF_EACH + 1);
    broker.questions.at(-1)?.answer(false);
    expect(await waiting).toStartWith("AccessDenied");
  });

  test("when a caller closes its Varlink connection, its questions are cancelled, too", async () => {
    chmodSync(daemon.runtime, 0o755);
    const path = join(daemon.runtime, "machine/io.systemd.Machine");
    const socket = withIdentity({ uid: USER, gid: USER }, () => connectUnix(path));
    const client = new VarlinkClient((handlers) => new SocketStream(socket, handlers, { takesDescriptors: 8 }));
    const parameters = { name: "web", allowInteractiveAuthentication: true };
    client.call("io.systemd.Machine.Terminate", parameters).catch(() => {});
    await until("the question", () => broker.questions.length === 1);
    client.close();
    await until("the question to be taken back", () => broker.cancelled.length === 1);
    answerAll();
  });

  test("the question of a caller that disconnected before the daemon watched for that is cancelled", async () => {
    const sender = broker.caller(USER);
    broker.holdCredentials = true;
    terminate(sender).catch(() => {});
    await until("the daemon to ask who calls", () => broker.held === 1);
    broker.holdCredentials = false;
    broker.release();
    broker.leave(sender);
    await until("the question to be taken back", () => broker.cancelled.length === 1);
    answerAll();
  });
});

describe("an Authority", () => {
  const root = mkdtempSync(join(tmpdir(), "machined-authority-"));
  const broker = new PlayedBroker(join(root, "bus"));
  const caller: Caller = {
    uid: USER,
    pid: process.pid,
    subject: { kind: "bus-name", name: ":9.1" },
    openProcess: () => {
      throw new Error("not asked for");
    },
  };
  const asking = { interactive: true, caller: () => Promise.resolve(caller), onGone: () => () => {} };
  const permission = { action: "org.example.do", details: {} };
  const usual = process.env["DBUS_SYSTEM_BUS_ADDRESS"];
  beforeAll(() => {
    process.env["DBUS_SYSTEM_BUS_ADDRESS"] = broker.address;
  });
  afterAll(async () => {
    if (usual === undefined) delete process.env["DBUS_SYSTEM_BUS_ADDRESS"];
    else process.env["DBUS_SYSTEM_BUS_ADDRESS"] = usual;
    await broker[Symbol.asyncDispose]();
    rmSync(root, { recursive: true, force: true });
  });

  test("does not ask about a process that has ended: its PID may be reused", async () => {
    const path = join(root, "socket");
    using listener = listenUnix(path);
    const connect = `const net = require("node:net"); net.connect(${JSON.stringify(path)}, () => process.exit())`;
    const child = Bun.spawn([process.execPath, "-e", connect], { stdio: ["ignore", "ignore", "ignore"] });
    using socket = await waitFor(() => {
      const accepted = acceptPeer(listener);
      if (accepted === null) throw new Error("not yet");
      return accepted;
    }, "the child");
    const gone = callerOnSocket(socket);
    expect(gone.pid).toBe(child.pid);
    await child.exited;
    const authority = new Authority({ kind: "system" });
    const before = broker.questions.length;
    const call = { ...asking, caller: () => Promise.resolve(gone) };
    expect(await errorOf(authority.ask(call, gone, permission))).toContain("Access denied");
    expect(broker.questions).toHaveLength(before);
    authority.close();
  });

  test("a daemon without a free descriptor says so, and not that the caller has no permission", async () => {
    const openProcess = () => {
      throw new ErrnoError("EMFILE", "Too many open files");
    };
    const one = { ...caller, subject: { kind: "process" }, openProcess } as const;
    const authority = new Authority({ kind: "system" });
    const call = { ...asking, caller: () => Promise.resolve(one) };
    expect(await errorOf(authority.ask(call, one, permission))).toContain("Too many open files");
    authority.close();
  });

  test("refuses a call when no answer comes in time, and cancels the question", async () => {
    const authority = new Authority({ kind: "system" }, { deadlineMs: { people: 100, rules: 100 } });
    expect(authority.ask(asking, caller, permission)).rejects.toThrow("Access denied");
    await waitFor(() => expect(broker.cancelled).toHaveLength(1), "the question to be taken back");
    authority.close();
  });

  test("closes the connection to a polkit that does not cancel, and sends the next question over a new connection", async () => {
    const times = { deadlineMs: { people: 50, rules: 50 }, cancelGraceMs: 50 };
    const authority = new Authority({ kind: "system" }, times);
    broker.questions.length = 0;
    for (let i = 0; i < 3 * PEOPLE_OF_EACH; i++) {
      expect(await errorOf(authority.ask(asking, caller, permission))).toContain("Access denied");
    }
    broker.onQuestion = (question) => question.answer(true);
    await waitFor(
      async () => expect((await authority.ask(asking, caller, permission)).authorized).toBe(true),
      "an answer",
    );
    expect(new Set(broker.questions.map(({ from }) => from)).size).toBeGreaterThan(1);
    authority.close();
  });
});
