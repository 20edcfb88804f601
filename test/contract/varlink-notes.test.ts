// `varlinkctl introspect` can read our interfaces, and explains everything that it shows.
import { describe, expect, test } from "bun:test";
import { OWN_INTERFACES } from "../../src/api/own-interfaces.ts";
import { IoSystemdImport } from "../../src/api/varlink/io-systemd-import.ts";
import { IoSystemdMachine } from "../../src/api/varlink/io-systemd-machine.ts";
import { IoSystemdMachineImage } from "../../src/api/varlink/io-systemd-machine-image.ts";
import { IoSystemdResolveHook } from "../../src/api/varlink/io-systemd-resolve.ts";
import { IoSystemd, IoSystemdService, OrgVarlinkService } from "../../src/api/varlink/io-systemd-service.ts";
import { IoSystemdUserDatabase } from "../../src/api/varlink/io-systemd-userdb.ts";
import type { VarlinkInterface } from "../../src/api/varlink-table.ts";
import { describeInterface } from "../../src/ipc/varlink/schema.ts";

const INTERFACES: readonly VarlinkInterface[] = [
  ...OWN_INTERFACES,
  IoSystemdImport,
  IoSystemdMachine,
  IoSystemdMachineImage,
  IoSystemdResolveHook,
  IoSystemd,
  IoSystemdService,
  OrgVarlinkService,
  IoSystemdUserDatabase,
];

/** Every field and enumeration value, with its type, method or error. */
function fieldsOf(table: VarlinkInterface): [owner: string, name: string][] {
  const of = (owner: string, fields: object) => Object.keys(fields).map((name): [string, string] => [owner, name]);
  return [
    ...Object.entries(table.types).flatMap(([owner, type]) =>
      Array.isArray(type) ? type.map((value): [string, string] => [owner, String(value)]) : of(owner, type),
    ),
    ...Object.entries(table.methods).flatMap(([owner, row]) => [...of(owner, row.in), ...of(owner, row.out)]),
    ...Object.entries(table.errors).flatMap(([owner, fields]) => of(owner, fields)),
  ];
}

test("a hint is an optional parameter of its call", () => {
  const methods = OWN_INTERFACES.flatMap((table) => Object.values(table.methods));
  const wrong = methods.flatMap((row) => (row.hints ?? []).filter((name) => row.in[name]?.[0] !== "?"));
  expect(wrong).toEqual([]);
});

for (const table of INTERFACES) {
  describe(table.name, () => {
    const { notes } = table;

    test("every type, error, parameter and value has a sentence", () => {
      const sentences = [
        ...Object.keys(table.types).map((name) => [name, notes.types?.[name]]),
        ...Object.keys(table.errors).map((name) => [name, notes.errors[name]]),
        ...fieldsOf(table).map(([owner, name]) => [
          `${owner}.${name}`,
          notes.fields[`${owner}.${name}`] ?? notes.fields[name],
        ]),
      ];
      const without = sentences.filter(([, text]) => !/^[^\n]+\.$/.test(text ?? "")).map(([name]) => name);
      expect(without).toEqual([]);
    });

    test("every name is one that Varlink's interface language permits, so that varlinkctl can read the description", () => {
      const declared = [...Object.keys(table.types), ...Object.keys(table.methods), ...Object.keys(table.errors)];
      expect(declared.filter((name) => !/^[A-Z][A-Za-z0-9]*$/.test(name))).toEqual([]);
      const members = fieldsOf(table).map(([, name]) => name);
      expect(members.filter((name) => !/^[A-Za-z](_?[A-Za-z0-9])*$/.test(name))).toEqual([]);
    });

    test("every sentence is about a symbol that exists", () => {
      const known = new Set(fieldsOf(table).flatMap(([owner, name]) => [`${owner}.${name}`, name]));
      expect(Object.keys(notes.fields).filter((name) => !known.has(name))).toEqual([]);
      expect(Object.keys(notes.types ?? {}).filter((name) => !Object.hasOwn(table.types, name))).toEqual([]);
      expect(Object.keys(notes.errors).filter((name) => !Object.hasOwn(table.errors, name))).toEqual([]);
    });

    test("each sentence is printed before its subject", () => {
      const lines = describeInterface(table).split("\n");
      const bare = lines.filter((line, index) => {
        const declares = /^(\t\w|type |method |error |interface )/.test(line);
        // A declaration may be a single line, as "method Ping() -> ()".
        return declares && !/^\t?#/.test(lines[index - 1] ?? "");
      });
      expect(bare).toEqual([]);
    });
  });
}
