import { expect, test } from "bun:test";
import { ErrnoError } from "../../../../src/base/error.ts";
import { Patience } from "../../../../src/cli/session/patience.ts";
import type { Bus, Varlink } from "../../../../src/cli/session/ports.ts";
import type { BusCall } from "../../../../src/ipc/bus/connection.ts";
import { FakeBusError } from "../fake-managers.ts";

const QUICK = { probeMs: 2, sayMs: 3, giveUpMs: 24 };
const never = () => new Promise<never>(() => {});
const timedOut = expect.objectContaining({ errnoName: "ETIMEDOUT" });

const CALL: BusCall = { destination: "org.freedesktop.machine1", path: "/", interface: "a.b", member: "Ask" };

/** A bus whose peer answers calls with `answer`. */
function busOf(answer: (call: BusCall) => Promise<unknown[]>): Bus & { readonly calls: string[] } {
  const calls: string[] = [];
  const call = (asked: BusCall) => {
    calls.push(asked.member);
    return answer(asked);
  };
  return { calls, call, subscribe: async () => async () => {}, onClose: () => {}, close: () => {} };
}

test("a silent service is named once; then its calls fail, and no further call is sent to it", async () => {
  const said: string[] = [];
  const patience = new Patience((line) => said.push(line), QUICK);
  const bus = busOf(never);
  await expect(Promise.all([patience.bus(bus).call(CALL), patience.bus(bus).call(CALL)])).rejects.toEqual(timedOut);
  expect(said).toEqual(["Waiting for systemd-machined …"]);
  expect(bus.calls).toEqual(["Ask", "Ask", "Ping"]);

  await expect(patience.bus(bus).call(CALL)).rejects.toEqual(timedOut);
  expect(bus.calls).toHaveLength(3);
});

test("the time limit holds for the whole verb, over Varlink, D-Bus and new connections together", async () => {
  const patience = new Patience(() => {}, QUICK);
  const varlink = { callAll: never, call: never, descriptors: [], close: () => {} } as unknown as Varlink;
  await expect(patience.varlink(varlink, "systemd-machined").callAll("io.systemd.Machine.List")).rejects.toEqual(
    timedOut,
  );
  expect(patience.isOver).toBe(true);
  let connections = 0;
  const connect = async () => {
    connections++;
    return busOf(never);
  };
  await expect(patience.connect("the message bus", connect)).rejects.toEqual(timedOut);
  expect(connections).toBe(1);
});

test("a long call is waited for while its service answers pings, and nothing is printed", async () => {
  const said: string[] = [];
  const patience = new Patience((line) => said.push(line), QUICK);
  const { promise, resolve } = Promise.withResolvers<unknown[]>();
  let pings = 0;
  const bus = busOf(async ({ member }) => {
    if (member !== "Ping") return promise;
    // Far more pings than fit into the time limit.
    if (++pings === 40) resolve(["done"]);
    return [];
  });
  expect(await patience.bus(bus).call({ ...CALL, timeoutMs: 0x7fff_ffff })).toEqual(["done"]);
  expect(said).toEqual([]);
});

test("calls to a silent service fail, although another service answers", async () => {
  const said: string[] = [];
  const patience = new Patience((line) => said.push(line), QUICK);
  const { promise: done, resolve } = Promise.withResolvers<unknown[]>();
  const answer = async ({ destination, member }: BusCall) => {
    if (destination !== "a.lively.One") return never();
    return member === "Ping" ? [] : done;
  };
  const bus = patience.bus(busOf(answer));
  const lively = bus.call({ ...CALL, destination: "a.lively.One" });
  await expect(bus.call(CALL)).rejects.toEqual(timedOut);
  expect(said).toEqual(["Waiting for systemd-machined …"]);
  resolve(["done"]);
  expect(await lively).toEqual(["done"]);
});

test("a Varlink call is waited for while its service answers on another connection", async () => {
  const patience = new Patience(() => {}, QUICK);
  const { promise, resolve } = Promise.withResolvers<{ id: number }>();
  let pings = 0;
  const probe = async () => {
    if (++pings === 40) resolve({ id: 7 });
  };
  const callMore = async function* () {
    yield await promise;
  };
  const varlink = { callMore, descriptors: [], close: () => {} } as unknown as Varlink;
  const replies = patience.varlink(varlink, "systemd-importd", probe).callMore("a.b.C");
  expect(await replies.next()).toEqual({ done: false, value: { id: 7 } });

  const silent = { callMore: () => ({ next: never }), descriptors: [], close: () => {} } as unknown as Varlink;
  await expect(patience.varlink(silent, "systemd-importd", never).callMore("a.b.C").next()).rejects.toEqual(timedOut);
});

test("an error reply counts as an answer, also one that reports a timeout", async () => {
  const patience = new Patience(() => {}, QUICK);
  const errors = ["org.freedesktop.DBus.Error.Timeout", "org.freedesktop.DBus.Error.NoReply"];
  for (const name of errors) {
    const bus = busOf(async () => Promise.reject(new FakeBusError(name, "x")));
    await expect(patience.bus(bus).call(CALL)).rejects.toThrow("x");
  }
  expect(patience.isOver).toBe(false);
});

test("a connection that is established after the time limit is closed", async () => {
  const patience = new Patience(() => {}, QUICK);
  const { promise, resolve } = Promise.withResolvers<{ close(): void }>();
  await expect(patience.connect("the message bus", () => promise)).rejects.toEqual(timedOut);
  const closed = Promise.withResolvers<void>();
  resolve({ close: () => closed.resolve() });
  await closed.promise;
});

test("a call with its own time limit is reported as slow, but not ended by the verb's limit", async () => {
  const said = Promise.withResolvers<string>();
  const patience = new Patience(said.resolve, { ...QUICK, giveUpMs: 4 });
  const { promise, reject } = Promise.withResolvers<never>();
  const varlink = { call: () => promise, callAll: never, descriptors: [], close: () => {} } as unknown as Varlink;
  const call = patience.varlink(varlink, "a provider").call("a.b.C", {}, { timeoutMs: 1000 });
  expect(await said.promise).toBe("Waiting for a provider …");
  reject(new ErrnoError("ECONNRESET", "gone"));
  await expect(call).rejects.toThrow("gone");
});
