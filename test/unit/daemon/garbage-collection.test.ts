// Freeing memory after work.
import { afterEach, expect, jest, test } from "bun:test";
import { collectGarbageSoon } from "../../../src/daemon/garbage-collection.ts";
import { withoutDescriptors } from "../../lib/no-descriptors.ts";

/** Longer than the pauses before a collection, and than those before compiled code is freed. */
const LATER_MS = 60_000;

afterEach(() => {
  jest.useRealTimers();
});

test("memory is freed while no descriptor is free, and without an error", () => {
  jest.useFakeTimers();
  collectGarbageSoon();
  expect(() => withoutDescriptors(() => jest.advanceTimersByTime(LATER_MS))).not.toThrow();
});
