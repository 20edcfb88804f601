// Typed calls of clients. `@ts-expect-error` fails the type check (`npm run types`) where the line below it compiles.
import { expect, test } from "bun:test";
import { Manager } from "../../../../src/api/machine1.ts";
import type { BusCall } from "../../../../src/ipc/bus/connection.ts";
import { callTyped } from "../../../../src/ipc/bus/typed-call.ts";

const WHERE = { destination: "org.freedesktop.machine1", path: "/org/freedesktop/machine1" };

function answering(...reply: unknown[]) {
  const calls: BusCall[] = [];
  const send = async (call: BusCall) => {
    calls.push(call);
    return reply;
  };
  return { calls, send };
}

test("arguments are sent in the order and with the signature of the row, whatever their order in the call", async () => {
  const { calls, send } = answering();
  await callTyped(send, { ...WHERE, timeoutMs: 5 }, Manager, "KillMachine", { signal: 9, whom: "leader", name: "web" });
  expect(calls).toEqual([
    {
      ...WHERE,
      timeoutMs: 5,
      interface: "org.freedesktop.machine1.Manager",
      member: "KillMachine",
      signature: "ssi",
      body: ["web", "leader", 9],
    },
  ]);
});

test("results are returned as an object with the names of the row", async () => {
  const { send } = answering("web", "/machine/web", 33);
  const result = await callTyped(send, WHERE, Manager, "MapToMachineUser", { uid_outer: 65569 });
  expect(result).toEqual({ machine_name: "web", machine_path: "/machine/web", uid_inner: 33 });
});

test("an argument of another name or type, a missing argument and a result of another type do not compile", async () => {
  const { send } = answering("/machine/web");
  // @ts-expect-error there is no such method
  const missing = callTyped(send, WHERE, Manager, "GetMachines", {}).catch(() => "refused");
  // @ts-expect-error the argument is missing
  await callTyped(send, WHERE, Manager, "GetMachine", {});
  // @ts-expect-error the argument is text
  await callTyped(send, WHERE, Manager, "GetMachine", { name: 1 });
  // @ts-expect-error the argument has another name
  await callTyped(send, WHERE, Manager, "GetMachine", { machine: "web" });
  const { machine } = await callTyped(send, WHERE, Manager, "GetMachine", { name: "web" });
  // @ts-expect-error an object path is no number
  const path: number = machine;
  expect([await missing, String(path)]).toEqual(["refused", "/machine/web"]);
});
