import { expect, test } from "bun:test";
import { eventSubject, isFleetHost, nameOf, recordSubject, requestSubject, tokenOf } from "../../../src/fleet/names.ts";

const LEGAL = ["a", "A1", "web-1", "web-1.example.org", "a.b", "a-b", "9", `${"a".repeat(31)}.${"b".repeat(32)}`];
const ILLEGAL = [
  "",
  ".",
  "a.",
  ".a",
  "a..b",
  "-a",
  "a-",
  "a_b",
  "*",
  ">",
  "a.*",
  "a b",
  "a\nb",
  "a\0",
  "ä",
  "$KV",
  "a/b",
  "x".repeat(65),
];

test("every legal name is one token of the letters that keys may have, and comes back from it", () => {
  for (const name of LEGAL) {
    const token = tokenOf(name) ?? "";
    expect(token).toMatch(/^[-_=a-zA-Z0-9]+$/);
    expect(nameOf(token)).toBe(name);
  }
  expect(new Set(LEGAL.map(tokenOf)).size).toBe(LEGAL.length);
});

test("what is no name is no token, no key and no subject", () => {
  for (const name of ILLEGAL) {
    expect(tokenOf(name)).toBe(null);
    expect(() => recordSubject("h", name)).toThrow(TypeError);
    expect(() => recordSubject(name, null)).toThrow(TypeError);
    expect(() => eventSubject(name, "machine")).toThrow(TypeError);
    expect(() => requestSubject(name, "read", "list")).toThrow(TypeError);
  }
  for (const token of ["", "a.b", "a__b", "_", "_a", "*", ">", "a b"]) expect(nameOf(token)).toBe(null);
  expect(() => eventSubject("h", "*")).toThrow(TypeError);
});

test("subjects have the names as one token each", () => {
  expect(recordSubject("a.b", "c.d")).toBe("$KV.machined_machines.a_b.c_d");
  expect(recordSubject("a.b", null)).toBe("$KV.machined_hosts.a_b");
  expect(eventSubject("a.b", "machine")).toBe("machined.events.a_b.machine");
  expect(requestSubject("a.b", "lifecycle", "start")).toBe("machined.a_b.lifecycle.start");
});

test("no host is called as the subjects of events begin", () => {
  expect(isFleetHost("events")).toBe(false);
  expect(isFleetHost("events1")).toBe(true);
  expect(() => requestSubject("events", "read", "list")).toThrow(TypeError);
});
