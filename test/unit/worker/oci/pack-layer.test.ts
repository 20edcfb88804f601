// What is left out of a layer, as the log names it.
import { expect, spyOn, test } from "bun:test";
import * as fs from "node:fs";
import type { RawStatus } from "../../../../src/kernel/tree/raw-status.ts";
import { layerPolicy } from "../../../../src/worker/oci/pack-layer.ts";

test("a machine that makes any number of devices 0:0 makes a limited number of lines", () => {
  const device = { kind: "character", deviceNumber: 0 } as unknown as RawStatus;
  const lines: string[] = [];
  const writing = spyOn(fs, "writeSync").mockImplementation(((_file: number, text: string) => {
    lines.push(text);
    return text.length;
  }) as never);
  try {
    const { accepts } = layerPolicy();
    for (let i = 0; i < 1000; i++) expect(accepts?.(`./d${i}` as never, `d${i}` as never, device)).toBe(false);
  } finally {
    writing.mockRestore();
  }
  expect(lines.length).toBe(21);
  expect(lines.at(-1)).toContain("Further devices");
});
