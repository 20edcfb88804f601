import { expect, test } from "bun:test";
import { BLOCK, hasValidSum, number } from "../../../../src/worker/tar/header.ts";

/** A block with some bytes above 127, whose checksum field is `sum`. */
function telling(sum: (bytes: Buffer) => number): Buffer {
  const block = Buffer.from(Array.from({ length: BLOCK }, (_, at) => (at % 9 === 0 ? 200 : 100)));
  block.fill(" ", 148, 156);
  block.write(`${sum(block).toString(8).padStart(6, "0")}\0 `, 148, "latin1");
  return block;
}

test("I88: a checksum over signed or over unsigned bytes is accepted, and a change of any byte is detected", () => {
  const unsigned = telling((bytes) => bytes.reduce((total, byte) => total + byte, 0));
  const signed = telling((bytes) => new Int8Array(bytes).reduce((total, byte) => total + byte, 0));
  expect([hasValidSum(unsigned), hasValidSum(signed)]).toEqual([true, true]);
  for (const at of [0, 147, 156, BLOCK - 1]) {
    for (const block of [unsigned, signed]) {
      const changed = Buffer.from(block);
      changed[at] = (changed[at] as number) + 1;
      expect(hasValidSum(changed)).toBe(false);
    }
  }
});

test.each([
  ["0000644\0", 0o644],
  ["   644 x", 0o644],
  ["        ", 0],
  ["\0\0\0\0\0\0\0\0", 0],
  ["77777777", 0o77777777],
  ["644\0rest", 0o644],
  ["\x80\0\0\0\0\0\x01\0", 256],
  ["00006448", null],
  ["-0000001", null],
  ["0x000644", null],
])("the number field %j is %p", (field, value) => {
  const read = () => number(Buffer.from(field, "latin1"), 0, 8, "mode");
  if (value === null) expect(read).toThrow("Archive is damaged: bad mode field");
  else expect(read()).toBe(value);
});
