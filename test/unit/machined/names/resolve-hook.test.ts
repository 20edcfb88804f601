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
