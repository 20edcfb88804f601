// What the transfer daemon's objects look like against what the original's did: recordings of 252, 257 and 262 by
// busctl and varlinkctl. Each difference is listed here with its reason.
import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { ImportManager, Transfer } from "../../src/api/import1.ts";
import { IoSystemdImport } from "../../src/api/io-systemd-import.ts";
import type { BusInterface } from "../../src/api/table.ts";
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
  test.each(tables)("every member of the %s stands in ours, to the byte", (file, table) => {
    const ours = members(introspect([{ table }], []), table.name);
    const theirs = members(recording(`${version}-${file}.xml`), table.name);
    expect(theirs.size).toBeGreaterThan(file === "manager" ? 10 : 7);
    for (const [key, text] of theirs) {
      // An empty element can be written in two ways.
      expect(`${key}: ${ours.get(key)}`).toBe(`${key}: ${text.replace(/"><\/method>$/, '"/>')}`);
    }
    // Nothing is there that 262 has not.
    if (version === "262") expect([...ours.keys()].sort()).toEqual([...theirs.keys()].sort());
  });
});

/** The declarations of an interface text without comments and blanks, by name. */
function declarations(text: string): Map<string, string> {
  const plain = text.replace(/#.*$/gm, "");
  const found = [...plain.matchAll(/^(type|method|error) (\w+)\s*((?:\([^)]*\)\s*(?:->\s*)?)+)/gm)];
  return new Map(found.map(([, kind, name, body]) => [`${kind} ${name}`, (body ?? "").replace(/\s+/g, "")]));
}

/** What our IDL has more: the original's code takes and sends these, its IDL forgets them. */
const MORE: Readonly<Record<string, (text: string) => string>> = {
  "type RemoteType": (text) => text.replace("tar)", "tar,oci)"),
  "type TransferType": (text) => text.replace("pull_raw)", "pull_raw,pull_oci)"),
  // 257 had no image root.
  "method Pull": (text) =>
    text.includes("imageRoot") ? text : text.replace(",allowInter", ",imageRoot:?string,allowInter"),
};

test.each(["257", "262"])("every declaration of io.systemd.Import of %s stands in ours", (version) => {
  const ours = declarations(describeInterface(IoSystemdImport));
  const theirs = declarations(recording(`${version}.varlink`));
  expect(theirs.size).toBeGreaterThan(9);
  for (const [key, text] of theirs) {
    expect(`${key}: ${ours.get(key)}`).toBe(`${key}: ${MORE[key]?.(text) ?? text}`);
  }
});
