// FairPlaces: which of several users gets a place when all want one.
import { describe, expect, test } from "bun:test";
import { FairPlaces, type Place } from "../../../src/base/fair-places.ts";

/** Takes places and notes in which order they were granted. */
function taker(places: FairPlaces<string>) {
  const granted: string[] = [];
  const take = (key: string): Place => {
    const place = places.take(key, `too many of ${key}`);
    place.granted.then(() => granted.push(key));
    return place;
  };
  return { granted, take, settled: () => Promise.resolve().then(() => granted.splice(0)) };
}

describe("places", () => {
  test("a user gets a limited number of places, and another user still gets one", async () => {
    const places = new FairPlaces<string>({ all: 3, each: 2, waiting: 10 });
    const { take, settled } = taker(places);
    for (let i = 0; i < 5; i++) take("greedy");
    expect(await settled()).toEqual(["greedy", "greedy"]);
    take("modest");
    expect(await settled()).toEqual(["modest"]);
    expect(places.taken).toBe(3);
  });

  test("users that take as many places as they may leave room for a user that has none", async () => {
    const places = new FairPlaces<string>({ all: 16, each: 4, waiting: 10 });
    const { take, settled } = taker(places);
    for (const key of ["a", "b", "c", "d"]) for (let i = 0; i < 4; i++) take(key);
    await settled();
    take("modest");
    expect(await settled()).toEqual(["modest"]);
    expect(places.taken).toBe(11);
  });

  test("users that wait get places in turn, one each", async () => {
    const places = new FairPlaces<string>({ all: 1, each: 1, waiting: 10 });
    const order: string[] = [];
    for (const key of ["a", "a", "a", "b", "b", "c"]) {
      const place = places.take(key, "too many");
      place.granted.then(() => {
        order.push(key);
        place.leave();
      });
    }
    for (let i = 0; i < 20; i++) await Promise.resolve();
    expect(order).toEqual(["a", "a", "b", "c", "a", "b"]);
  });

  test("a cancelled wait takes no place, and a place returned twice counts once", async () => {
    const places = new FairPlaces<string>({ all: 1, each: 1, waiting: 10 });
    const { take, settled } = taker(places);
    const first = take("a");
    const second = take("b");
    const third = take("c");
    second.leave();
    first.leave();
    first.leave();
    expect(await settled()).toEqual(["a", "c"]);
    third.leave();
    expect(places.taken).toBe(0);
  });

  test("a user with too many waiting requests is refused, and others are not", async () => {
    const places = new FairPlaces<string>({ all: 1, each: 1, waiting: 2 });
    const { take } = taker(places);
    for (let i = 0; i < 3; i++) take("a");
    expect(() => take("a")).toThrow("too many of a");
    take("b");
  });
});
