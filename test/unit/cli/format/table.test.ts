import { describe, expect, test } from "bun:test";
import { asWritten } from "../../../../src/cli/format/own-sequence.ts";
import { renderTable, shareWidth, type Table, tableJson, textCell } from "../../../../src/cli/format/table.ts";
import { type Environment, readTerminal } from "../../../../src/cli/format/terminal.ts";

function terminal(env: Environment = {}) {
  return readTerminal(env, { stdout: false, stderr: false, columns: () => undefined });
}

const TABLE: Table = {
  columns: ["name", "usage", "note"],
  rows: [
    [textCell("b"), { text: "8M", json: 8, alignRight: true }, { text: "one\ntwo\nthree", json: "x", lines: 2 }],
    [textCell("long"), { text: "1007.5K", json: 9n, alignRight: true }, { text: "", json: null }],
  ],
};

describe("shareWidth", () => {
  test("gives every column its full width if all fit", () => expect(shareWidth([3, 4], 10)).toEqual([3, 4]));

  test("gives narrow columns their full width first, and shares the rest", () => {
    expect(shareWidth([7, 9, 14, 6, 7, 10], 45)).toEqual([7, 8, 8, 6, 7, 9]);
    expect(shareWidth([7, 9, 14, 6, 7, 10], 35)).toEqual([5, 6, 6, 6, 6, 6]);
  });

  test("gives every column a width of at least one", () => expect(shareWidth([5, 5, 5], 1)).toEqual([1, 1, 1]));
});

describe("renderTable", () => {
  test("aligns cells, limits the lines of a cell, and writes no blanks at line ends (C16)", () => {
    expect(renderTable(TABLE, { terminal: terminal(), heading: true, width: null })).toBe(
      ["NAME   USAGE NOTE", "b         8M one", "             two…", "long 1007.5K", ""].join("\n"),
    );
  });

  test("ignores the heading's width when no heading is printed", () => {
    const rows = [[textCell("a"), textCell("b")]];
    const table = { columns: ["first", "second"], rows };
    expect(renderTable(table, { terminal: terminal(), heading: false, width: null })).toBe("a b\n");
  });

  test("shortens each cell where the table is wider than the terminal", () => {
    expect(renderTable(TABLE, { terminal: terminal(), heading: true, width: 12 })).toBe(
      ["NA… US… NOTE", "b    8M one", "        two…", "lo… 10…", ""].join("\n"),
    );
  });

  test("colours cells, and a '-' in an empty one", () => {
    const table: Table = { columns: ["ro", "x"], rows: [[{ text: "no", json: false, color: "red" }, textCell("")]] };
    const form = { terminal: terminal({ SYSTEMD_COLORS: "16" }), heading: false, width: null };
    expect(asWritten(renderTable(table, form))).toBe("\u001b[0;1;31mno\u001b[0m \u001b[0;90m-\u001b[0m\n");
  });
});

test("tableJson has one object for each row, with values that are not shortened, and null for empty ones", () => {
  expect(tableJson(TABLE)).toEqual([
    { name: "b", usage: 8, note: "x" },
    { name: "long", usage: 9n, note: null },
  ]);
});
