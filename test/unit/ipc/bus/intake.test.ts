import { expect, test } from "bun:test";
import type { Origin } from "../../../../src/ipc/bus/call.ts";
import { type Answering, type Broker, BusIntake, type IntakeLimits } from "../../../../src/ipc/bus/intake.ts";
import type { Incoming } from "../../../../src/ipc/bus/stream.ts";
import { FairTurns } from "../../../../src/ipc/fair-turns.ts";
import { type Fd, openPath } from "../../../../src/kernel/file/fd.ts";
import { until } from "../../../kernel/support.ts";

const LIMITS: IntakeLimits = { calls: 10, bytes: 1280, totalBytes: 2000, descriptors: 4, totalDescriptors: 5 };
const ORIGIN = {} as Origin; // is handed on only

function message(sender: string, { size = 1, descriptors = [] as Fd[], text = "" } = {}): Incoming {
  const head = { type: 1, flags: 0, serial: 1, signature: "", descriptorCount: descriptors.length };
  return { ...head, sender, member: text, size, descriptors, values: () => [] };
}

/** An intake on a simulated broker; the test decides when calls are answered. */
function intake(users: Readonly<Record<string, number>> = {}, workMs = 0) {
  const log: string[] = [];
  const refused: string[] = [];
  const answers: (() => void)[] = [];
  const broker = {
    takesMore: true,
    send() {},
    driver: (_member: string, _signature: string, [name]: readonly unknown[]) =>
      Promise.resolve([users[name as string]]),
  };
  const server: Answering = {
    dispatch: ({ sender, member }) => {
      log.push(`${sender}`);
      const end = performance.now() + workMs;
      while (performance.now() < end) {}
      return member === "later" ? new Promise((resolve) => answers.push(resolve)) : null;
    },
    refuse: ({ descriptors }, _origin, text) => {
      refused.push(text);
      for (const fd of descriptors) fd.close();
    },
  };
  const made = new BusIntake(server, broker satisfies Broker, new FairTurns(), LIMITS);
  return {
    take: (call: Incoming) => made.take(call, ORIGIN),
    goOn: () => made.goOn(),
    made,
    broker,
    log,
    refused,
    answers,
  };
}

test("a sender's unanswered calls are limited in number and in size; answered calls do not count", async () => {
  const { take, log, refused, answers } = intake();
  for (let i = 0; i < 100; i++) {
    take(message("a", { size: 1000 }));
    await until(() => log.length === i + 1, "the answer");
  }
  expect([log.length, refused.length]).toEqual([100, 0]);
  for (let i = 0; i < 12; i++) take(message("a", { text: "later" }));
  expect(refused).toEqual(Array(2).fill("Too many calls wait for an answer"));
  take(message("b", { text: "later" }));
  for (const answer of answers.splice(0)) answer();
  await until(() => {
    const before = refused.length;
    take(message("a", { text: "later" }));
    return refused.length === before;
  }, "room");
  take(message("c", { size: 1281 }));
  expect(refused.at(-1)).toBe("Calls that wait for an answer take too much memory");
});

test("when all calls together take too much memory, small calls of other senders are still accepted", () => {
  const { take, log, refused } = intake();
  take(message("a", { size: 1200, text: "later" }));
  take(message("b", { size: 1200, text: "later" }));
  take(message("c", { size: 1200, text: "later" }));
  take(message("d", { size: 10, text: "later" }));
  expect([log.join(""), refused.length]).toEqual(["abd", 1]);
});

test("descriptors of unanswered calls are limited, and descriptors of calls that are never started are closed", () => {
  const { take, refused, made, broker } = intake();
  const files = Array.from({ length: 6 }, () => openPath("/dev/null", "read"));
  take(message("a", { descriptors: files.slice(0, 4), text: "later" }));
  take(message("a", { descriptors: files.slice(4, 5) }));
  expect(refused).toEqual(["Too many file descriptors"]);
  broker.takesMore = false;
  take(message("b", { descriptors: files.slice(5) }));
  made.close();
  expect(files.map((fd) => fd.isOpen)).toEqual([true, true, true, true, false, false]);
  for (const fd of files) fd.close();
});

test("when all calls together have too many descriptors, other senders may have a few each", () => {
  const { take, log, refused } = intake();
  const files = Array.from({ length: 9 }, () => openPath("/dev/null", "read"));
  take(message("a", { descriptors: files.slice(0, 4), text: "later" }));
  take(message("b", { descriptors: files.slice(4, 6), text: "later" }));
  take(message("c", { descriptors: files.slice(6, 7), text: "later" }));
  take(message("d", { descriptors: files.slice(7, 8), text: "later" }));
  take(message("d", { descriptors: files.slice(8), text: "later" }));
  take(message("a"));
  expect([log.join(""), refused]).toEqual(["acda", Array(2).fill("Too many file descriptors")]);
  for (const fd of files) fd.close();
});

test("no call is started while the broker does not read what it is sent", async () => {
  const { take, goOn, log, broker } = intake();
  broker.takesMore = false;
  for (let i = 0; i < 5; i++) take(message("a"));
  goOn();
  expect(log).toEqual([]);
  broker.takesMore = true;
  goOn();
  await until(() => log.length === 5, "all of them");
});

test("many connections of one user take one turn together: another user's call is next", async () => {
  const names = Array.from({ length: 9 }, (_, index) => `a${index}`);
  const { take, log } = intake(Object.fromEntries(names.map((name) => [name, 1000])), 5);
  for (let i = 0; i < 9; i++) for (const name of names) take(message(name));
  await until(() => log.length > 2 * names.length, "the users to be known");
  const at = log.length;
  take(message("root"));
  expect(log.slice(at)).toEqual(["root"]);
  await until(() => log.length === 82, "the rest");
});
