// The introspection of the transfer daemon compared with systemd's, as busctl and varlinkctl recorded it for 252, 257
// and
// 262. Each difference is listed here with its reason.
import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { ImportManager, Transfer } from "../../src/api/import1.ts";
import type { BusInterface } from "../../src/api/table.ts";
import { IoSystemdImport } from "../../src/api/varlink/io-systemd-import.ts";
import { introspect } from "../../src/ipc/bus/introspection.ts";
import { describeInterface } from "../../src/ipc/varlink/schema.ts";

const RECORDINGS = join(import.meta.dir, "recordings/import1");
const recording = (name: string) => readFileSync(join(RECORDINGS, name), "utf8");

/** The members of an interface, each as one line of text. */
function members(xml: string, name: string): Map<string, string> {
  const lines = xml.split("\n");
  const start = lines.indexOf(` <interface name="${name}">`);
  const own = lines.slice(start + 1, lines.indexOf(" </interface>", start));
  const found = new Map<string, string>();
  let key = "";
  for (const line of own) {
    const head = /^ {2}<(method|property|signal) name="([^"]+)"/.exec(line);
    if (head !== null) key = `${head[1]} ${head[2]}`;
    found.set(key, `${found.get(key) ?? ""}${line.trim()}`);
  }
  return found;
}

describe.each(["252", "257", "262"])("I1 I2 I3 as in %s", (version) => {
  const tables: [string, BusInterface][] = [
    ["manager", ImportManager],
    ["transfer", Transfer],
  ];
  test.each(tables)("machined's introspection contains every member of the %s, byte by byte", (file, table) => {
    const ours = members(introspect([{ table }], []), table.name);
    const theirs = members(recording(`${version}-${file}.xml`), table.name);
    expect(theirs.size).toBeGreaterThan(file === "manager" ? 10 : 7);
    for (const [key, text] of theirs) {
      // An empty XML element can be written in two ways.
      expect(`${key}: ${ours.get(key)}`).toBe(`${key}: ${text.replace(/"><\/method>$/, '"/>')}`);
    }
    // No other members than those of 262.
    if (version === "262") expect([...ours.keys()].sort()).toEqual([...theirs.keys()].sort());
  });
});

/** The declarations of an interface text without comments and blanks, by name. */
function declarations(text: string): Map<string, string> {
  const plain = text.replace(/#.*$/gm, "");
  const found = [...plain.matchAll(/^(type|method|error) (\w+)\s*((?:\([^)]*\)\s*(?:->\s*)?)+)/gm)];
  return new Map(found.map(([, kind, name, body]) => [`${kind} ${name}`, (body ?? "").replace(/\s+/g, "")]));
}

/** Fields that only machined's IDL has: systemd's code accepts and sends them, but its IDL does not declare them. */
const MORE: Readonly<Record<string, (text: string) => string>> = {
  "type RemoteType": (text) => text.replace("tar)", "tar,oci)"),
  "type TransferType": (text) => text.replace("pull_raw)", "pull_raw,pull_oci)"),
  // 257 has no imageRoot.
  "method Pull": (text) =>
    text.includes("imageRoot") ? text : text.replace(",allowInter", ",imageRoot:?string,allowInter"),
};

test.each(["257", "262"])("machined's io.systemd.Import contains every declaration of %s", (version) => {
  const ours = declarations(describeInterface(IoSystemdImport));
  const theirs = declarations(recording(`${version}.varlink`));
  expect(theirs.size).toBeGreaterThan(9);
  for (const [key, text] of theirs) {
    expect(`${key}: ${ours.get(key)}`).toBe(`${key}: ${MORE[key]?.(text) ?? text}`);
  }
});
