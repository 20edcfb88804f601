// The lists that the runs for several hosts print, as they are read.
import { expect, test } from "bun:test";
import type { Paint } from "../../../../src/cli/format/terminal.ts";
import { readRows } from "../../../../src/cli/hosts/read-rows.ts";

test("a cell keeps the number of lines that are printed of it, so that a machine with many addresses has one row", () => {
  const list = (lines: unknown) =>
    JSON.stringify({
      columns: ["addresses"],
      noun: "machines",
      descending: [],
      rows: [{ cells: [{ text: "10.0.0.1\nfe80::1", json: "10.0.0.1\nfe80::1", lines }], keys: [], json: {} }],
    });
  const read = (lines: unknown) => readRows(list(lines), {} as Paint)?.rows[0]?.cells[0]?.lines;
  expect([read(1), read(0), read(null), read(-1), read(1.5), read("1")]).toEqual([
    1,
    0,
    undefined,
    undefined,
    undefined,
    undefined,
  ]);
});
