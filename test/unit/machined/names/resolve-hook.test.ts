// The filter of systemd-resolved's hook for many subscribers: every user may subscribe, some hundred times.
import { expect, test } from "bun:test";
import type { VarlinkCall } from "../../../../src/ipc/varlink/binding.ts";
import type { Daemon } from "../../../../src/machined/action/daemon.ts";
import { ResolveHook } from "../../../../src/machined/names/resolve-hook.ts";

const SUBSCRIBERS = 100;

test("a change is formatted once for all subscribers, and one that is late gets the last filter only", () => {
  let listings = 0;
  const names: string[] = [];
  const list = () => {
    listings++;
    return names.map((name) => ({ name, isHost: false, facts: { uid: 0 } }));
  };
  const hook = new ResolveHook({ registry: { list } } as unknown as Daemon);
  const subscribers: { next: () => string | null; leave: () => void; wakes: number }[] = [];
  const subscribe = hook.bound.handlers["QueryFilter"] as (call: VarlinkCall, parameters: object) => unknown;
  for (let i = 0; i < SUBSCRIBERS; i++) {
    const one = { next: () => null as string | null, leave: () => {}, wakes: 0 };
    subscribers.push(one);
    const call = {
      more: true,
      onGone: (leave: () => void) => {
        one.leave = leave;
      },
      feed: (next: () => string | null) => {
        one.next = next;
        return () => void one.wakes++;
      },
    };
    void subscribe(call as unknown as VarlinkCall, {});
  }
  const filters = () => new Set(subscribers.map(({ next }) => next()));
  expect(filters()).toEqual(new Set(['{"filterDomains":[]}']));
  expect(filters()).toEqual(new Set([null]));
  for (const name of ["one", "two.three"]) {
    names.push(name);
    hook.changed();
  }
  expect(filters()).toEqual(new Set(['{"filterDomains":["one","two.three"],"filterLabelsMax":2}']));
  expect(filters()).toEqual(new Set([null]));
  expect(listings).toBe(2);
  expect(new Set(subscribers.map(({ wakes }) => wakes))).toEqual(new Set([3]));
  for (const { leave } of subscribers) leave();
  hook.changed();
  expect(new Set(subscribers.map(({ wakes }) => wakes))).toEqual(new Set([3]));
});

test("a call with more questions than a resolver asks is refused before any is answered", () => {
  let looks = 0;
  const addresses = [{ family: 10, bytes: Buffer.alloc(16, 1), ifindex: 2, scope: 0, flags: 0, prefixLength: 64 }];
  const of = () => {
    looks++;
    return addresses;
  };
  const machine = { name: "m", isHost: false, class: "container", facts: { uid: 0, networkInterfaces: [] } };
  const hook = new ResolveHook({ registry: { find: () => machine }, addresses: { of } } as unknown as Daemon);
  const resolve = hook.bound.handlers["ResolveRecord"] as (call: unknown, parameters: object) => { answer?: unknown[] };
  const ask = (count: number) =>
    resolve({}, { question: Array.from({ length: count }, () => ({ key: { name: "m", type: 28 } })) });
  expect(ask(2).answer?.length).toBe(2);
  expect(looks).toBe(2);
  // As many as fit into a message of a user: the answer would have that many times all addresses of the machine.
  expect(() => ask(4000)).toThrow("Too many questions");
  expect(looks).toBe(2);
});
