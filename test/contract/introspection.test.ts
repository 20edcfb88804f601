// The answer to Introspect compared with systemd's: 252 as recorded from a live bus (busctl introspect
// --xml-interface), 257 and 262 as tables of their members. Each difference is listed here with its reason.
import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Image, Machine, Manager } from "../../src/api/machine1.ts";
import { LogControl } from "../../src/api/peers.ts";
import type { BusInterface } from "../../src/api/table.ts";
import { introspect } from "../../src/ipc/bus/introspection.ts";

const RECORDINGS = join(import.meta.dir, "recordings/introspection");
const recording = (name: string) => readFileSync(join(RECORDINGS, name), "utf8");

/** The lines of one interface. */
function interfaceLines(xml: string, name: string): string[] {
  const lines = xml.split("\n");
  const start = lines.indexOf(` <interface name="${name}">`);
  return lines.slice(start, lines.indexOf(" </interface>", start) + 1);
}

/** The members of an interface, each as one line of text. */
function members(lines: readonly string[]): Map<string, string> {
  const found = new Map<string, string>();
  let key = "";
  for (const line of lines) {
    const head = /^ {2}<(method|property|signal) name="([^"]+)"/.exec(line);
    if (head !== null) key = `${head[1]} ${head[2]}`;
    if (key !== "") found.set(key, `${found.get(key) ?? ""}${line.trim().replace(/\/>$/, ">")}`);
  }
  for (const [name, text] of found) found.set(name, text.replace(/<\/(method|property|signal)>$|^\s+|\s+$/g, ""));
  return found;
}

/** Changes of 252's members in 262, which newer clients depend on. */
const RENAMED: Readonly<Record<string, (text: string) => string>> = {
  "method KillMachine": (text) => text.replace('name="who"', 'name="whom"'),
  "method Kill": (text) => text.replace('name="who"', 'name="whom"'),
};
/** Since 258 everybody may call these, and polkit decides. */
const PRIVILEGED = '<annotation name="org.freedesktop.systemd1.Privileged" value="true">';
const OPENED = [
  "CreateMachine",
  "CreateMachineWithNetwork",
  "RegisterMachine",
  "RegisterMachineWithNetwork",
  "OpenMachinePTY",
];

const LIVE: [string, string, BusInterface][] = [
  ["introspect-252-manager.xml", "manager", Manager],
  ["introspect-252-host.xml", ".host", Machine],
  ["introspect-252-imagehost.xml", "image", Image],
  ["introspect-252-logcontrol1.xml", "LogControl1", LogControl],
];

for (const [file, what, table] of LIVE) {
  test(`M3 machined's ${what} contains every member of 252's, byte by byte`, () => {
    const ours = members(interfaceLines(introspect([{ table }], []), table.name));
    const theirs = members(interfaceLines(recording(file), table.name));
    expect(theirs.size).toBeGreaterThan(2);
    for (const [key, text] of theirs) {
      const opened = OPENED.some((name) => key === `method ${name}`);
      const expected = (RENAMED[key]?.(text) ?? text).replace(opened ? PRIVILEGED : "\0", "");
      expect(`${key}: ${ours.get(key)}`).toBe(`${key}: ${expected}`);
    }
  });
}

test("M3 the XML around the interfaces is systemd's, byte by byte", () => {
  // busctl adds one more line end
  expect(`${introspect([{ table: LogControl }], [])}\n`).toBe(recording("introspect-252-logcontrol1.xml"));
  expect(`${introspect([], ["_2ehost"])}\n`).toBe(recording("introspect-252-machine-node.xml"));
});

interface Row {
  readonly kind: string;
  readonly name: string;
  readonly in: string;
  readonly out: string;
}

function tableOf(file: string, iface: string): Row[] {
  const sections = recording(file).split(/^## /m);
  const section = sections.find((text) => text.startsWith(iface)) ?? "";
  return section
    .split("\n")
    .slice(1)
    .filter((line) => /^(method|signal|property)\t/.test(line))
    .map((line) => {
      const [kind = "", name = "", input = "", out = ""] = line.split("\t");
      return { kind, name, in: input, out };
    });
}

const list = (args: Readonly<Record<string, string>>) =>
  Object.entries(args)
    .map(([name, type]) => `${type} ${name}`)
    .join(", ");

function rowsOf(table: BusInterface): Row[] {
  return [
    ...Object.entries(table.methods).map(([name, row]) => ({
      kind: "method",
      name,
      in: list(row.in),
      out: list(row.out),
    })),
    ...Object.entries(table.signals).map(([name, row]) => ({ kind: "signal", name, in: list(row.args), out: "" })),
    ...Object.entries(table.properties)
      .filter(([, row]) => row.hidden !== true)
      .map(([name, row]) => ({ kind: "property", name, in: row.type, out: "" })),
  ];
}

for (const table of [Manager, Machine]) {
  test(`M3 ${table.name} has exactly the members of 262 in the same order`, () => {
    expect(rowsOf(table)).toEqual(tableOf("introspect-262-table.tsv", table.name));
  });
  test(`M3 ${table.name} has the members of 257`, () => {
    const ours = rowsOf(table);
    for (const row of tableOf("introspect-257-table.tsv", table.name)) expect(ours).toContainEqual(row);
  });
}
