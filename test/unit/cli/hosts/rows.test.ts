// The lists that the runs for several hosts print, as they are read.
import { expect, test } from "bun:test";
import { asWritten } from "../../../../src/cli/format/own-sequence.ts";
import { NO_PAINT, type Paint, readTerminal } from "../../../../src/cli/format/terminal.ts";
import { checkedRows, placedObjects, printPages, printRows } from "../../../../src/cli/hosts/print.ts";
import { readRows } from "../../../../src/cli/hosts/read-rows.ts";
import type { HostResult } from "../../../../src/cli/hosts/result.ts";
import { VERBS } from "../../../../src/cli/program/verbs.ts";
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

/** A session that prints JSON, and what it has printed. */
function jsonSession() {
  const printed: string[] = [];
  const terminal = { ...readTerminal({}, { stdout: false, stderr: false, columns: () => 80 }), paint: NO_PAINT };
  const settings = { ...defaultSettings(), json: "short" };
  const output = { write: (part: string) => void printed.push(part), hasPager: false, failure: null };
  return { session: { settings, terminal, output } as unknown as Session, printed };
}

const answer = (host: string, text: string): HostResult => ({ host, text, error: null, status: 0 });
const [STATUS] = VERBS.filter(({ meta }) => meta.name === "status");

test("a host whose answer is not JSON has failed, and the pages of the others are printed", () => {
  const { session, printed } = jsonSession();
  const results = [answer("a", '{"name":"web"}\n'), answer("b", '{"name":"w'), answer("c", "[7]"), answer("d", "")];
  const checked = printPages(session, STATUS as (typeof VERBS)[0], results);
  const error = "Its answer is not JSON";
  expect(checked.map(({ status, error }) => [status, error])).toEqual([
    [0, null],
    [1, error],
    [1, error],
    [0, null],
  ]);
  expect(printed.join("")).toBe(
    `{"host":"a","name":"web"}\n{"host":"b","error":"${error}"}\n{"host":"c","error":"${error}"}\n`,
  );
});

test("with -o, pages are text as those of one host: only the entries of the journal have that form", () => {
  const { session, printed } = jsonSession();
  session.settings.json = "off";
  for (const output of ["json", "json-seq"] as const) {
    session.settings.output = output;
    printPages(session, STATUS as (typeof VERBS)[0], [answer("a", 'web\n\u001e{"MESSAGE":"x"}\n')]);
  }
  expect(printed.map(asWritten)).toEqual(['a:\nweb\n\\x1e{"MESSAGE":"x"}\n', 'a:\nweb\n\u001e{"MESSAGE":"x"}\n']);
});

test("the answer of a host with very many lines in a cell, or very many objects, does not hide the others'", () => {
  const cell = { text: "\n".repeat(1 << 20), json: null, lines: 1 << 20 };
  const list = {
    columns: ["machine"],
    noun: "machines",
    descending: [],
    rows: [{ cells: [cell], keys: [], json: {} }],
  };
  let lines = 0;
  const output = { write: (part: string) => (lines += part.split("\n").length), hasPager: false, failure: null };
  const terminal = { ...readTerminal({}, { stdout: false, stderr: false, columns: () => 80 }), paint: NO_PAINT };
  const session = { settings: defaultSettings(), terminal, output } as unknown as Session;
  printRows(session, [answer("a", JSON.stringify(list))], { hasNumbers: false });
  expect(lines).toBeGreaterThan(1 << 20);
  const { session: json, printed } = jsonSession();
  printPages(json, STATUS as (typeof VERBS)[0], [answer("a", "{}\n".repeat(1 << 20)), answer("b", "{}\n")]);
  expect(printed.at(-1)).toBe('{"host":"b"}\n');
});

test("an object of a host cannot name another host", () => {
  const { session, printed } = jsonSession();
  printPages(session, STATUS as (typeof VERBS)[0], [answer("a", '{"host":"b","name":"web"}')]);
  const list = { columns: [], noun: "machines", descending: [], rows: [{ cells: [], keys: [], json: { host: "b" } }] };
  printRows(session, [answer("a", JSON.stringify(list))], { hasNumbers: true });
  expect(printed).toEqual(['{"host":"a","name":"web"}\n', '[{"host":"a"}]\n']);
});

test("a host whose list is sorted by fewer columns than that of the others has failed", () => {
  const { session } = jsonSession();
  const cell = { text: "1", json: 1 };
  const list = (keys: object[]) =>
    JSON.stringify({
      ...{ columns: ["memory"], noun: "machines", descending: keys.map(() => true) },
      rows: [{ cells: [cell], keys, json: {} }],
    });
  const checked = checkedRows(session, [answer("a", list([cell])), answer("b", list([]))]);
  expect(checked.map(({ error }) => error)).toEqual([null, "It lists other columns"]);
  expect(() => printRows(session, checked, { hasNumbers: true })).not.toThrow();
});

test("an event of a host has its name, and the part of one, which an ended run leaves, is none", () => {
  expect(placedObjects("a", '{"time":1,"host":"b"}\n')).toEqual([{ host: "a", time: 1 }]);
  expect(placedObjects("a", '{"time":1,"ho')).toBeNull();
});
