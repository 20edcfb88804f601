// How many machines users may register.
import { expect, test } from "bun:test";
import { REGISTRATION_RULES } from "../../../../src/api/shared-rules.ts";
import type { Call } from "../../../../src/daemon/call.ts";
import type { Caller } from "../../../../src/ipc/caller.ts";
import { PidRef } from "../../../../src/kernel/process/pidref.ts";
import type { Daemon } from "../../../../src/machined/action/daemon.ts";
import { registerMachine } from "../../../../src/machined/machines/register.ts";
import { NO_DESCRIPTION } from "../../../../src/registry/machine/description.ts";
import type { Machine } from "../../../../src/registry/machine/machine.ts";

const LIMIT = 512;
const [ALICE, BOB] = [1000, 1001];

function machinesOf(uid: number, count: number): Machine[] {
  return Array.from({ length: count }, () => ({ facts: { uid } }) as Machine);
}

/** Registers this process as a user, beside these machines; returns the error. polkit calls `asked`, and agrees. */
async function errorOf(uid: number, machines: Machine[], asked: () => void = () => {}): Promise<string> {
  const caller: Caller = {
    ...{ uid, pid: process.pid, subject: { kind: "process" }, openProcess: () => PidRef.self() },
  };
  const ask = () => {
    asked();
    return Promise.resolve({ authorized: true, challenge: false, details: new Map([["polkit.result", "auth_admin"]]) });
  };
  const registry = {
    all: () => machines,
    isTaken: () => false,
    add: () => {
      throw new Error("there is room");
    },
  };
  const daemon = { registry, registerPolicy: "polkit", hostVersion: 262, authority: () => ({ ask }) };
  const call = { access: { variants: REGISTRATION_RULES }, interactive: false, caller: () => Promise.resolve(caller) };
  const leader = { pid: process.pid };
  const registration = { ...NO_DESCRIPTION, name: "m", id: new Uint8Array(0), class: "container", leader };
  const attempt = registerMachine(daemon as unknown as Daemon, call as unknown as Call, registration);
  return attempt.then(
    () => "it succeeded",
    (error: Error) => error.message,
  );
}

test("a user may register a limited number of machines, and keeps neither others nor root from it", async () => {
  const machines = [...machinesOf(0, 5000), ...machinesOf(ALICE, LIMIT - 1)];
  expect(await errorOf(ALICE, machines)).toBe("there is room");
  machines.push(...machinesOf(ALICE, 1));
  expect(await errorOf(ALICE, machines)).toContain("Too many machines");
  expect(await errorOf(BOB, machines)).toBe("there is room");
  expect(await errorOf(0, machines)).toBe("there is room");
});

test("the limit holds for calls that are pending at the same time", async () => {
  const machines = machinesOf(ALICE, LIMIT - 1);
  expect(await errorOf(ALICE, machines, () => machines.push(...machinesOf(ALICE, 1)))).toContain("Too many machines");
});
