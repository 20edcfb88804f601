import { expect, test } from "bun:test";
import type { Caller } from "../../../src/ipc/caller.ts";
import { type AllLimits, type PeerPlace, Peers } from "../../../src/ipc/peers.ts";

const LIMITS: AllLimits = {
  total: { connections: 10, bytes: 1000 },
  others: { connections: 6, bytes: 500 },
  user: { connections: 4, bytes: 300 },
};

function caller(uid: number): Caller {
  return { uid } as Caller; // the only field that is read
}

/** Takes places for a user until none is left. */
function fill(peers: Peers, uid: number): PeerPlace[] {
  const places: PeerPlace[] = [];
  for (;;) {
    const place = peers.admit(caller(uid), () => {});
    if (place === null) return places;
    places.push(place);
  }
}

test("each user has a share, users that take all they can leave room for others, and root always gets a place", () => {
  const limits = { total: 100, others: 64, user: 16 };
  const peers = new Peers({
    total: { connections: limits.total, bytes: 1000 },
    others: { connections: limits.others, bytes: 500 },
    user: { connections: limits.user, bytes: 300 },
  });
  const first = fill(peers, 1000);
  const next = [1001, 1002, 1003, 1004, 1005].map((uid) => fill(peers, uid).length);
  // Half of the places are for everybody, the last eighth is for users that have none.
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

test("when a user holds too much memory, its connection that holds the most is closed", () => {
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

test("all users except root have a common limit of memory, and root's memory does not count", () => {
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

test("memory that one connection frees can be used by another", () => {
  const { evicted, enter } = tenants(new Peers(LIMITS));
  const places = [enter("a", 1000), enter("b", 1000)];
  for (let round = 0; round < 100; round++) {
    const place = places[round % 2] as PeerPlace;
    place.hold(290);
    place.hold(0);
  }
  expect(evicted).toEqual([]);
});

test("a user with many small connections loses one before a user whose single larger connection holds less in all", () => {
  const { evicted, enter } = tenants(new Peers({ ...LIMITS, others: { connections: 12, bytes: 300 } }));
  const other = enter("other", 1001);
  other.hold(60);
  for (let count = 0; count < 4; count++) enter(`small ${count}`, 1000).hold(55);
  expect(evicted).toEqual([]);
  other.hold(90);
  expect(evicted).toEqual(["small 0"]);
});

test("user ids of one range of a user namespace have one share together", () => {
  const peers = new Peers(LIMITS);
  expect(fill(peers, 0x8000_0000).length).toBe(3);
  expect(fill(peers, 0x8000_0001).length).toBe(0);
});
