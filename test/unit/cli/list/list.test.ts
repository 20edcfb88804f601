// Sorting, filtering and formatting of lists by options, without managers.
import { expect, test } from "bun:test";
import { UTC } from "../../../../src/base/text/format.ts";
import { textCell } from "../../../../src/cli/format/table.ts";
import type { Column } from "../../../../src/cli/list/column.ts";
import { planOf } from "../../../../src/cli/list/plan.ts";
import { arranged, rowJson } from "../../../../src/cli/list/print.ts";
import { renderTemplate } from "../../../../src/cli/list/template.ts";
import { defaultSettings, type Settings } from "../../../../src/cli/session/settings.ts";

interface Row {
  readonly name: string;
  readonly size: number | null;
  readonly addresses: readonly string[];
}

const CONTEXT = { zone: UTC, nowUsec: 0n, mostLines: 1 };

const COLUMNS: readonly Column<Row, "size" | "addresses">[] = [
  {
    key: "name",
    aliases: ["machine"],
    type: "text",
    description: "",
    isUsual: true,
    cell: ({ name }) => textCell(name),
  },
  {
    key: "size",
    type: "bytes",
    description: "",
    needs: ["size"],
    cell: ({ size }) => ({ text: size === null ? "-" : `${size / 1024}K`, json: size }),
  },
  {
    key: "addresses",
    type: "list",
    description: "",
    isUsual: true,
    needs: ["addresses"],
    cell: ({ addresses }) => ({ ...textCell(addresses.join("\n")), list: addresses }),
  },
];

const ROWS: readonly Row[] = [
  { name: "web10", size: 2048, addresses: ["10.0.0.10", "fe80::1"] },
  { name: "web9", size: null, addresses: [] },
  { name: "db", size: 10240, addresses: ["10.0.0.9"] },
  { name: "", size: 0, addresses: ["9.9.9.9"] },
];

function planned(list: Partial<Settings["list"]>) {
  const settings = defaultSettings();
  return planOf({ ...settings, list: { ...settings.list, ...list } }, COLUMNS);
}

function names(list: Partial<Settings["list"]>): string[] {
  return arranged(ROWS, planned(list), CONTEXT).map(({ name }) => name);
}

test("rows without a value come last, in ascending and in descending order", () => {
  expect(names({ sort: "size" })).toEqual(["", "web10", "db", "web9"]);
  expect(names({ sort: "-size" })).toEqual(["db", "web10", "", "web9"]);
  expect(names({ sort: "size:desc" })).toEqual(["db", "web10", "", "web9"]);
  expect(names({ sort: "-size:desc" })).toEqual(["", "web10", "db", "web9"]);
});

test("numbers in texts and addresses are compared as numbers", () => {
  expect(names({ sort: "name" })).toEqual(["db", "web9", "web10", ""]);
  expect(names({ sort: "addresses" })).toEqual(["", "db", "web10", "web9"]);
});

test("rows equal in the first sort column are sorted by the next one; rows equal in all keep their order", () => {
  const twins: Row[] = [1, 2, 3].map((size) => ({ name: `n${size}`, size: size === 2 ? 0 : 1, addresses: [] }));
  const sorted = (sort: string) => arranged(twins, planned({ sort }), CONTEXT).map(({ name }) => name);
  expect(sorted("size,-name")).toEqual(["n2", "n3", "n1"]);
  expect(sorted("-size")).toEqual(["n1", "n3", "n2"]);
});

test("a filter matches the text, the JSON value, or one of several values", () => {
  expect(names({ filters: ["name=web*"] })).toEqual(["web10", "web9"]);
  expect(names({ filters: ["machine=web*", "addresses=fe80:*"] })).toEqual(["web10"]);
  expect(names({ filters: ["size=2K"] })).toEqual(["web10"]);
  expect(names({ filters: ["size=2048"] })).toEqual(["web10"]);
  expect(names({ filters: ["addresses="] })).toEqual(["web9"]);
  expect(names({ filters: ["size=?*", "name=?*"] })).toEqual(["web10", "db"]);
  // Filters of the same column are alternatives: one has to match.
  expect(names({ filters: ["name=db", "name=web9"] })).toEqual(["web9", "db"]);
});

test("the columns that are read are those that are shown, sorted by, filtered by, or in the template", () => {
  const needs = (list: Partial<Settings["list"]>) => [...planned(list).needs].sort();
  expect(needs({})).toEqual(["addresses"]);
  expect(needs({ columns: "name" })).toEqual([]);
  expect(needs({ columns: "name", sort: "size" })).toEqual(["size"]);
  expect(needs({ columns: "name", filters: ["size=1"] })).toEqual(["size"]);
  expect(needs({ template: "{{name}}" })).toEqual([]);
  expect(needs({ template: "{{size}}" })).toEqual(["size"]);
});

test("--columns= takes names (duplicates count once), +NAME to add one to the default columns, or 'all'", () => {
  const keys = (columns: string) => planned({ columns }).shown.map(({ key }) => key);
  expect(keys("size,machine,name")).toEqual(["size", "name"]);
  expect(keys("+size")).toEqual(["name", "addresses", "size"]);
  expect(keys("all")).toEqual(["name", "size", "addresses"]);
});

test("errors suggest the likely column and list all columns", () => {
  const all = "The columns are: name, size, addresses";
  expect(() => planned({ columns: "sise" })).toThrow(
    `Unknown column 'sise' of --columns=, did you mean 'size'?\n${all}`,
  );
  expect(() => planned({ columns: "name,+size" })).toThrow("Unknown column '+size' of --columns=");
  expect(() => planned({ sort: "" })).toThrow(`Unknown column '' of --sort=\n${all}`);
  expect(() => planned({ filters: ["adresses=1"] })).toThrow("did you mean 'addresses'?");
  expect(() => planned({ filters: ["name"] })).toThrow("'name' is no filter");
  expect(() => planned({ template: "{{nme}}" })).toThrow("Unknown column 'nme' of --template=");
  expect(() => planned({ template: "a {{name" })).toThrow("'{{' is not closed in --template=: {{name");
  expect(() => planned({ template: "{{name.0}}" })).toThrow("Column 'name' of --template= has a single value");
  expect(() => planned({ template: "{{name}}", columns: "name" })).toThrow("leave out --columns=");
});

test("a template is filled with the values of the JSON output, on one line", () => {
  const rendered = (template: string, row: Row) => {
    const { template: parsed } = planned({ template });
    if (parsed === null) throw new Error("no template");
    return renderTemplate(parsed, ({ cell }) => cell(row, CONTEXT));
  };
  const [web10, web9] = ROWS as [Row, Row];
  expect(rendered("{{ name }}\\t{{size}}|{{addresses}}|{{addresses.1}}", web10)).toBe(
    "web10\t2048|10.0.0.10 fe80::1|fe80::1\n",
  );
  expect(rendered("{{name}} [{{size}}] [{{addresses}}] [{{addresses.0}}]", web9)).toBe("web9 [] [] []\n");
  expect(rendered("no value }} {", web9)).toBe("no value }} {\n");
  expect(rendered("{{name}}", { ...web9, name: "a\nb\u001b[1m" })).toBe("a\\x0ab\\x1b[1m\n");
});

test("JSON of version 2 has an array in columns that may have several values", () => {
  const json = (version: "1" | "2") => ROWS.slice(0, 2).map((row) => rowJson(row, COLUMNS.slice(2), CONTEXT, version));
  expect(json("1")).toEqual([{ addresses: "10.0.0.10\nfe80::1" }, { addresses: null }]);
  expect(json("2")).toEqual([{ addresses: ["10.0.0.10", "fe80::1"] }, { addresses: [] }]);
});
