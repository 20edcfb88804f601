import { expect, test } from "bun:test";
import type { Caller } from "../../../src/ipc/caller.ts";
import { type AllLimits, type PeerPlace, Peers } from "../../../src/ipc/peers.ts";

const LIMITS: AllLimits = {
  total: { connections: 10, bytes: 1000 },
  others: { connections: 6, bytes: 500 },
  user: { connections: 4, bytes: 300 },
};

function caller(uid: number): Caller {
  return { uid } as Caller; // all that is looked at
}

/** Takes places for a user until there is none. */
function fill(peers: Peers, uid: number): PeerPlace[] {
  const places: PeerPlace[] = [];
  for (;;) {
    const place = peers.admit(caller(uid), () => {});
    if (place === null) return places;
    places.push(place);
  }
}

test("a user has its share, users who take what they can leave room for others, and root always finds room", () => {
  const limits = { total: 100, others: 64, user: 16 };
  const peers = new Peers({
    total: { connections: limits.total, bytes: 1000 },
    others: { connections: limits.others, bytes: 500 },
    user: { connections: limits.user, bytes: 300 },
  });
  const first = fill(peers, 1000);
  const next = [1001, 1002, 1003, 1004, 1005].map((uid) => fill(peers, uid).length);
  // Half of the places is for everybody, the last eighth for those who have none.
  expect([first.length, ...next]).toEqual([16, 16, 10, 10, 4, 1]);
  expect(fill(peers, 0).length).toBe(43);
  expect(peers.connections).toBe(100);
  for (const place of first) place.leave();
  expect(fill(peers, 1006).length).toBe(10);
});

/** Peers whose eviction is noted by name. */
function tenants(peers: Peers) {
  const evicted: string[] = [];
  const enter = (name: string, uid: number) => {
    const place = peers.admit(caller(uid), () => {
      evicted.push(name);
      place?.leave();
    });
    return place as PeerPlace;
  };
  return { evicted, enter };
}

test("the connection that holds the most is ended when its user holds too much", () => {
  const { evicted, enter } = tenants(new Peers(LIMITS));
  const [small, large, late] = [enter("small", 1000), enter("large", 1000), enter("late", 1000)];
  const other = enter("other", 1001);
  other.hold(180);
  small.hold(40);
  large.hold(200);
  late.hold(60);
  expect(evicted).toEqual([]);
  late.hold(80);
  expect(evicted).toEqual(["large"]);
  late.hold(270);
  expect(evicted).toEqual(["large", "late"]);
});

test("users together do not take more than theirs, and root's memory is no part of it", () => {
  const { evicted, enter } = tenants(new Peers(LIMITS));
  const root = enter("root", 0);
  const [a, b] = [enter("a", 1000), enter("b", 1001)];
  root.hold(450);
  a.hold(290);
  b.hold(200);
  expect(evicted).toEqual([]);
  b.hold(220);
  expect(evicted).toEqual(["a"]);
  root.hold(900);
  expect(evicted).toEqual(["a", "root"]);
});

test("memory that is freed is free for others", () => {
  const { evicted, enter } = tenants(new Peers(LIMITS));
  const places = [enter("a", 1000), enter("b", 1000)];
  for (let round = 0; round < 100; round++) {
    const place = places[round % 2] as PeerPlace;
    place.hold(290);
    place.hold(0);
  }
  expect(evicted).toEqual([]);
});

test("many small holdings of one user are taken back before the larger one of a user who holds less", () => {
  const { evicted, enter } = tenants(new Peers({ ...LIMITS, others: { connections: 12, bytes: 300 } }));
  const other = enter("other", 1001);
  other.hold(60);
  for (let count = 0; count < 4; count++) enter(`small ${count}`, 1000).hold(55);
  expect(evicted).toEqual([]);
  other.hold(90);
  expect(evicted).toEqual(["small 0"]);
});

test("users of one range of a user namespace have one share together", () => {
  const peers = new Peers(LIMITS);
  expect(fill(peers, 0x8000_0000).length).toBe(3);
  expect(fill(peers, 0x8000_0001).length).toBe(0);
});
