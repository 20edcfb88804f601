import { expect, test } from "bun:test";
import { GrowingBuffer } from "../../../src/ipc/growing-buffer.ts";

test("bytes that arrive one by one take at most twice the memory of the bytes, and stay in order", () => {
  const buffer = new GrowingBuffer(16);
  for (let count = 1; count <= 1000; count++) {
    buffer.append(Buffer.of(count % 256));
    expect(buffer.heldBytes).toBeLessThanOrEqual(Math.max(16, 2 * count));
  }
  expect(buffer.take()).toEqual(Buffer.from(Array.from({ length: 1000 }, (_, index) => (index + 1) % 256)));
});

test("what take() has returned is not changed by later bytes, and the memory begins anew", () => {
  const buffer = new GrowingBuffer(16);
  buffer.append(Buffer.from("first"));
  const first = buffer.take();
  expect(buffer.heldBytes).toBe(0);
  buffer.append(Buffer.from("later"));
  expect(first.toString()).toBe("first");
  expect(buffer.bytes.toString()).toBe("later");
});
