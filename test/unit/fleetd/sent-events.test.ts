// What is published again after a server of a cluster has failed.
import { expect, test } from "bun:test";
import { SentEvents } from "../../../src/fleetd/sent-events.ts";

const NONE: ReadonlySet<string> = new Set();

/** Publishes events with these numbers, of which the server acknowledges `stored`; returns what the next run knows. */
function published(sent: SentEvents, numbers: readonly number[], stored: readonly number[]) {
  const acknowledge = numbers.flatMap((number) => {
    const id = `id${number}`;
    if (sent.has(id, `c${number}`)) return [];
    const acknowledged = sent.add(id, `c${number}`);
    return stored.includes(number) ? [acknowledged] : [];
  });
  for (const one of acknowledge.reverse()) one();
  return sent.resume;
}

test("where the server has all events up to one, its last event tells where to continue", () => {
  expect(published(new SentEvents("c0", NONE), [1, 2, 3], [1, 2, 3])).toBeNull();
  expect(published(new SentEvents("c0", NONE), [1, 2, 3], [1])).toBeNull();
  expect(published(new SentEvents(null, NONE), [1, 2], [])).toBeNull();
});

test("where it lacks one before a stored one, publishing continues there, without what is stored", () => {
  expect(published(new SentEvents("c0", NONE), [1, 2, 3, 4], [1, 3])).toEqual({
    cursor: "c1",
    stored: new Set(["id3"]),
  });
  expect(published(new SentEvents(null, NONE), [1, 2], [2])).toEqual({ cursor: null, stored: new Set(["id2"]) });
});

test("events that the server has are not published again, also when publishing fails another time before them", () => {
  const again = published(new SentEvents("c1", new Set(["id3", "id5"])), [2, 3], [2]);
  expect(again).toEqual({ cursor: "c3", stored: new Set(["id5"]) });
  // The second event is still missing: the third is not sent again.
  const missing = published(new SentEvents("c1", new Set(["id3"])), [2, 3], []);
  expect(missing).toEqual({ cursor: "c1", stored: new Set(["id3"]) });
  const sent = new SentEvents(again?.cursor ?? null, again?.stored ?? NONE);
  expect(published(sent, [4, 5, 6], [4, 6])).toBeNull();
});
