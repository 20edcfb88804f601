import { expect, test } from "bun:test";
import {
  hostText,
  isInbox,
  livingMachines,
  type MachineRecord,
  MOST_RECORD_BYTES,
  machineText,
  missingMachines,
  readEvent,
  readHost,
  readMachine,
} from "../../../src/fleet/record.ts";

const RECORD: MachineRecord = {
  host: "h.example",
  machine: "web.1",
  class: "container",
  service: "systemd-nspawn",
  os: "debian",
  version: "12",
  addresses: ["10.0.0.2", "fe80::1"],
  time: 1_795_875_474_067_079,
};

test("a record has the fields of list --json, the host and the time, and is parsed to the same values", () => {
  const text = machineText(RECORD);
  expect(JSON.parse(text)).toEqual({ ...RECORD, addresses: "10.0.0.2\nfe80::1" });
  expect(readMachine("h_example.web_1", text)).toEqual(RECORD);
});

test("a record whose names differ from its key is ignored, and fields of wrong types count as empty", () => {
  for (const lie of [{ host: "other", machine: "m" }, { host: "h", machine: "other" }, { host: "h" }, {}])
    expect(readMachine("h.m", JSON.stringify(lie))).toBe(null);
  expect(readHost("h", '{"host":"x","allow":[]}')).toBe(null);
  const lie = JSON.stringify({ host: "h", machine: "m", class: 7, addresses: {}, time: "now" });
  expect(readMachine("h.m", lie)).toEqual({
    ...{ host: "h", machine: "m", class: "", service: "", os: "", version: "", addresses: [], time: 0 },
  });
  expect(readHost("h", '{"host":"h","allow":["read",1],"machines":null}')).toEqual({
    ...{ host: "h", bootId: "", agent: "", since: 0, machines: 0, names: null, allow: ["read"], time: 0 },
  });
});

test("a record always fits into the bucket: the machine writes its os-release", () => {
  const long = "\u0001".repeat(100_000);
  const addresses = Array.from({ length: 1000 }, (_, at) => `fe80:1111:2222:3333:4444:5555:6666:${at}`);
  const text = machineText({ ...RECORD, service: "s".repeat(255), os: long, version: long, addresses });
  expect(Buffer.byteLength(text)).toBeLessThan(MOST_RECORD_BYTES);
  expect(readMachine("h_example.web_1", text)).toMatchObject({ machine: "web.1", os: `${"\u0001".repeat(127)}…` });
});

test("invalid records and keys are ignored", () => {
  for (const text of ["", "[]", "null", "1", "{"]) expect(readMachine("h.m", text)).toBe(null);
  for (const key of ["h", "h.m.n", "h.", ".m", "h.a__b"]) expect(readMachine(key, "{}")).toBe(null);
  for (const key of ["", "h.m", "h_"]) expect(readHost(key, "{}")).toBe(null);
});

test("a machine's record is valid only if its host has written it since the host's agent started", () => {
  const host = { host: "h.example", bootId: "", agent: "", machines: 1, names: ["a"], allow: [], time: 0 };
  expect(livingMachines([RECORD], [{ ...host, since: RECORD.time }])).toEqual([RECORD]);
  expect(livingMachines([RECORD], [{ ...host, since: RECORD.time + 1 }])).toEqual([]);
  expect(livingMachines([RECORD], [{ ...host, host: "other", since: 0 }])).toEqual([]);
});

test("machines that a host names, or counts where it names none, are missing until their records are there", () => {
  const host = { host: "h.example", bootId: "", agent: "", since: 0, machines: 2, allow: [], time: 0 };
  const named = { ...host, names: ["web.1", "db", "db"] };
  expect(missingMachines([RECORD], [named])).toEqual([{ host: "h.example", missing: 1 }]);
  expect(missingMachines([RECORD, { ...RECORD, machine: "db" }], [named])).toEqual([]);
  expect(missingMachines([RECORD], [{ ...host, names: null }])).toEqual([{ host: "h.example", missing: 1 }]);
  // A machine whose record is newer than that of its host.
  expect(missingMachines([RECORD], [{ ...host, machines: 0, names: [] }])).toEqual([]);
  expect(missingMachines([], [{ ...named, host: "other" }])).toEqual([{ host: "other", missing: 2 }]);
});

test("the names of a host's machines are left out where its record would be too long", () => {
  const host = { host: "h", bootId: "", agent: "", machines: 1, names: ["a"], allow: [], since: 0, time: 0 };
  expect(JSON.parse(hostText(host))).toEqual(host);
  const many = Array.from({ length: 200 }, (_, number) => `machine-${number}`.padEnd(60, "x"));
  expect(JSON.parse(hostText({ ...host, names: many }))).toEqual({ ...host, names: null });
});

test("replies are sent only to subjects below _INBOX", () => {
  for (const subject of ["_INBOX.a.b", "_INBOX_web-1.x"]) expect(isInbox(subject)).toBe(true);
  for (const subject of [
    undefined,
    "",
    "_INBOX",
    "machined.h.lifecycle.terminate",
    "$JS.ACK.s.c.1.2.3.4.0",
    "$KV.b.k",
    "x._INBOX.a",
  ])
    expect(isInbox(subject)).toBe(false);
});

test("members that a record inherits, and texts that are no addresses, are ignored", () => {
  const addresses = ["10.0.0.2", "-oProxyCommand=id", "{{ x }}", "host.example", "fe80::1%eth0", "", "1.2.3.4:80"];
  const text = `{"host":"h","machine":"m","__proto__":{"service":"s","time":1},"addresses":${JSON.stringify(addresses.join("\n"))}}`;
  expect(readMachine("h.m", text)).toMatchObject({ service: "", time: 0, addresses: ["10.0.0.2", "fe80::1%eth0"] });
  for (const wrong of [
    '[{"host":"h"}]',
    '"h"',
    "null",
    '{"host":"h","machine":["m"]}',
    '{"host":{"toString":1},"machine":"m"}',
  ]) {
    expect(readMachine("h.m", wrong)).toBeNull();
    expect(readHost("h", wrong)).toBeNull();
  }
  for (const key of ["h", "h.m.x", ".m", "h.", "__proto__.m", "h.*", "h.m\n"]) {
    expect(readMachine(key, text)).toBeNull();
  }
});

test("a long text of a machine is cut: tables of all hosts are as wide as it; unknown members are ignored", () => {
  const record = { host: "h", machine: "m", os: "x".repeat(7000), version: "12", time: 1, more: { later: [1] } };
  const read = readMachine("h.m", JSON.stringify(record));
  expect(read).toMatchObject({ os: `${"x".repeat(127)}…`, version: "12" });
  expect(Object.keys(read ?? {})).not.toContain("more");
});

test("an event names the host of its subject, and members that are objects are left out", () => {
  const event = { host: "h", type: "machine", event: "started", time: 1, machine: "m", readOnly: true };
  const deep = `${"[".repeat(50_000)}${"]".repeat(50_000)}`;
  const text = `${JSON.stringify({ ...event, list: [1], leader: { toString: 1 } }).slice(0, -1)},"__proto__":{"x":1},"deep":${deep}}`;
  expect(readEvent("h", text)).toEqual(event);
  for (const wrong of [
    { ...event, host: "g" },
    { ...event, host: undefined },
    { ...event, time: "1" },
    { ...event, time: { valueOf: 1 } },
    { ...event, type: ["machine"] },
    [event],
  ]) {
    expect(readEvent("h", JSON.stringify(wrong))).toBeNull();
  }
  expect(readEvent("H*", JSON.stringify({ ...event, host: null }))).toBeNull();
});

test("more names than a record can have are not read one by one", () => {
  const host = { host: "h", allow: [], names: Array.from({ length: 2048 }, () => "a") };
  expect(readHost("h", JSON.stringify(host))?.names).toHaveLength(2048);
  expect(readHost("h", JSON.stringify({ ...host, names: [...host.names, "a"] }))?.names).toBeNull();
});
