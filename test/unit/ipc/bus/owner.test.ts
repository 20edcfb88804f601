// Signals are accepted from the owner of a name, who may change at any moment.
import { expect, test } from "bun:test";
import { BusClient } from "../../../../src/ipc/bus/client.ts";
import { ServerHandshake } from "../../../../src/ipc/bus/handshake.ts";
import { BusStream, type Incoming } from "../../../../src/ipc/bus/stream.ts";
import { encodeMessage } from "../../../../src/ipc/message/message.ts";
import { SocketStream } from "../../../../src/kernel/socket/stream.ts";
import { socketPair } from "../../../../src/kernel/socket/unix.ts";
import { until } from "../../../kernel/support.ts";

const DRIVER = "org.freedesktop.DBus";
const WHERE = { path: "/", interface: "a.b" };
let serial = 100;

function bytes(message: object): Buffer {
  return encodeMessage({ serial: ++serial, sender: DRIVER, ...message } as never).bytes;
}

const reply = ({ serial: to }: Incoming, text?: string) =>
  bytes({ type: 2, replySerial: to, ...(text === undefined ? {} : { signature: "s", body: [text] }) });
const changed = (...body: string[]) =>
  bytes({ type: 4, path: "/", interface: DRIVER, member: "NameOwnerChanged", signature: "sss", body });

const refusal = ({ serial: to }: Incoming) =>
  bytes({
    type: 3,
    replySerial: to,
    errorName: `${DRIVER}.Error.LimitsExceeded`,
    signature: "s",
    body: ["too many rules"],
  });

/** A client whose broker answers GetNameOwner with `answer`, and other calls with `others`. */
async function connected(answer: (question: Incoming) => Buffer, others: (call: Incoming) => Buffer = reply) {
  const [ours, theirs] = socketPair();
  const uid = process.geteuid?.() ?? 0;
  let socket: SocketStream | null = null;
  const open = (handlers: ConstructorParameters<typeof SocketStream>[1]) => {
    socket = new SocketStream(theirs, handlers);
    return socket;
  };
  const answers: Readonly<Record<string, (message: Incoming) => Buffer>> = {
    Hello: (message) => reply(message, ":1.7"),
    GetNameOwner: answer,
  };
  const message = (call: Incoming) => socket?.write((answers[call.member ?? ""] ?? others)(call));
  const peer = new BusStream(open, { message, end: () => {} }, { handshake: new ServerHandshake(uid, "00") });
  const client = await BusClient.open(ours);
  const close = () => {
    client.close();
    peer.close();
  };
  return { client, send: (sent: Buffer) => socket?.write(sent), close };
}

test.each([
  ["before", (question: Incoming) => Buffer.concat([changed("x.y", ":1.1", ":1.2"), reply(question, ":1.2")])],
  ["right after", (question: Incoming) => Buffer.concat([reply(question, ":1.1"), changed("x.y", ":1.1", ":1.2")])],
])("a name that gets another owner %s the owner is reported has that one", async (_, answer) => {
  const { client, send, close } = await connected(answer);
  const seen: string[] = [];
  const { promise, resolve } = Promise.withResolvers<void>();
  await client.subscribe({ sender: "x.y", member: "S" }, (_body, { sender }) => seen.push(sender));
  await client.subscribe({ sender: DRIVER, member: "End" }, () => resolve());
  for (const sender of [":1.1", ":1.2", ":1.66"]) send(bytes({ type: 4, ...WHERE, member: "S", sender }));
  send(bytes({ type: 4, ...WHERE, member: "End" }));
  await promise;
  close();
  expect(seen).toEqual([":1.2"]);
});

test("a subscription, and a call after it, are sent at once, in this order", async () => {
  const held: Incoming[] = [];
  const hold = (call: Incoming) => {
    held.push(call);
    return Buffer.alloc(0);
  };
  const { client, send, close } = await connected(hold, hold);
  const subscribed = client.subscribe({ sender: "x.y", member: "S" }, () => {});
  const called = client.call({ destination: "x.y", ...WHERE, member: "Start" });
  const expected = ["AddMatch", "GetNameOwner", "AddMatch", "Start"];
  await until(() => held.length === expected.length, "the calls");
  expect(held.map(({ member }) => member ?? "")).toEqual(expected);
  for (const call of held) send(reply(call, call.member === "GetNameOwner" ? ":1.1" : undefined));
  await Promise.all([subscribed, called]);
  close();
});

test("a signal that arrives together with the reply about its sender's owner is not missed", async () => {
  const held: Incoming[] = [];
  const hold = (call: Incoming) => {
    held.push(call);
    return Buffer.alloc(0);
  };
  const { client, send, close } = await connected(hold, hold);
  const seen: string[] = [];
  const see = (body: unknown[]) => void seen.push(String(body[0]));
  const rule = { sender: "x.y", member: "S" };
  const both = [client.subscribe(rule, see), client.subscribe({ ...rule, path: WHERE.path }, see)];
  const called = client.call({ destination: "x.y", ...WHERE, member: "Start" });
  await until(() => held.at(-1)?.member === "Start", "the calls");
  const answers = held.map((call) => reply(call, call.member === "GetNameOwner" ? ":1.1" : undefined));
  const signal = (sender: string, text: string) =>
    bytes({ type: 4, ...WHERE, member: "S", sender, signature: "s", body: [text] });
  // A busy client reads all of this at once.
  send(Buffer.concat([...answers, signal(":1.1", "first"), signal(":1.66", "other"), signal(":1.1", "second")]));
  await Promise.all([...both, called]);
  await until(() => seen.length >= 4, "the signals");
  send(signal(":1.1", "third"));
  await until(() => seen.length >= 6, "the last signal");
  close();
  expect(seen).toEqual(["first", "first", "second", "second", "third", "third"]);
});

test("after a refused subscription, the next one of the same rule asks the broker again", async () => {
  let isRefusing = true;
  const rules: string[] = [];
  const add = (call: Incoming) => {
    const [rule] = call.values();
    const isRefused = isRefusing && String(rule).includes("member='S'");
    rules.push(`${call.member}${isRefused ? " refused" : ""}`);
    return isRefused ? refusal(call) : reply(call);
  };
  const { client, send, close } = await connected((question) => reply(question, ":1.1"), add);
  const { promise, resolve } = Promise.withResolvers<void>();
  const rule = { sender: "x.y", member: "S" };
  await expect(client.subscribe(rule, () => {})).rejects.toThrow("too many rules");
  isRefusing = false;
  const end = await client.subscribe(rule, () => resolve());
  send(bytes({ type: 4, ...WHERE, member: "S", sender: ":1.1" }));
  await promise;
  await end();
  expect(rules).toEqual(["AddMatch", "AddMatch refused", "AddMatch", "RemoveMatch"]);
  close();
});

test("where the broker refuses to report owners, each subscription to signals of the name fails", async () => {
  const others = (call: Incoming) => (String(call.values()[0]).includes("arg0='x.y'") ? refusal(call) : reply(call));
  const { client, close } = await connected((question) => reply(question, ":1.1"), others);
  const rules = ["S", "T"].map((member) => ({ sender: "x.y", member }));
  const results = await Promise.allSettled(rules.map((rule) => client.subscribe(rule, () => {})));
  close();
  expect(results.map(({ status }) => status)).toEqual(["rejected", "rejected"]);
});
