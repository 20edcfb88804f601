import { expect, test } from "bun:test";
import { isPublished, messageId } from "../../../src/fleetd/events.ts";

const NOW_MS = 1_800_000_000_000;

test("the message id of an event is made of the boot id and its cursor; that of 'missed' has a suffix", () => {
  const one = { cursor: "b3-2-1f", type: "machine", event: "started" };
  expect(messageId("boot", one)).toBe("boot-b3-2-1f");
  expect(messageId("boot", { ...one, type: "log", event: "missed" })).toBe("boot-b3-2-1f-missed");
  expect(messageId("other", one)).not.toBe(messageId("boot", one));
});

test("events for a single reader ('begin', 'end') are not published, and neither are those older than the server keeps", () => {
  const at = (ms: number) => ({ type: "machine", event: "started", time: ms * 1000 });
  expect(isPublished(at(NOW_MS - 1), NOW_MS)).toBe(true);
  expect(isPublished(at(NOW_MS - 8 * 24 * 3600_000), NOW_MS)).toBe(false);
  expect(isPublished({ type: "machine", event: "started" }, NOW_MS)).toBe(false);
  for (const event of ["begin", "end"])
    expect(isPublished({ type: "log", event, time: NOW_MS * 1000 }, NOW_MS)).toBe(false);
  expect(isPublished({ type: "log", event: "missed" }, NOW_MS)).toBe(true);
});
