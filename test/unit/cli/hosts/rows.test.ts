// The lists that the runs for several hosts print, as they are read.
import { expect, test } from "bun:test";
import { NO_PAINT, type Paint, readTerminal } from "../../../../src/cli/format/terminal.ts";
import { printRows } from "../../../../src/cli/hosts/print.ts";
import { readRows } from "../../../../src/cli/hosts/read-rows.ts";
import type { Session } from "../../../../src/cli/session/session.ts";
import { defaultSettings } from "../../../../src/cli/session/settings.ts";

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

test("numbers of several hosts are left out where they do not fit, as those of one host, and not shortened", () => {
  const columns = ["machine", "memory", "pressure"];
  const cells = ["web", "123.4M", "10.0 20.0 30.0"].map((text) => ({ text, json: text, alignRight: true }));
  const text = JSON.stringify({ columns, noun: "machines", descending: [], rows: [{ cells, keys: [], json: {} }] });
  const printed = (hasNumbers: boolean) => {
    let all = "";
    const terminal = readTerminal({}, { stdout: true, stderr: true, columns: () => 30 });
    const output = { write: (part: string) => (all += part), hasPager: false, failure: null };
    const session = { settings: defaultSettings(), terminal: { ...terminal, paint: NO_PAINT }, output };
    printRows(session as unknown as Session, [{ host: "a", text, error: null, status: 0 }], { hasNumbers });
    return all.split("\n");
  };
  expect(printed(true)).toEqual([
    "HOST MACHINE MEMORY",
    "a        web 123.4M",
    "",
    "1 machines listed.",
    "Too wide for the terminal:",
    "PRESSURE. Option -l shows all",
    "columns.",
    "",
  ]);
  expect(printed(false)[1]).toContain("…");
});
