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

test("every valid name is encoded as one token of the characters that keys may have, and decoded to the same name", () => {
  for (const name of LEGAL) {
    const token = tokenOf(name) ?? "";
    expect(token).toMatch(/^[-_=a-zA-Z0-9]+$/);
    expect(nameOf(token)).toBe(name);
  }
  expect(new Set(LEGAL.map(tokenOf)).size).toBe(LEGAL.length);
});

test("invalid names are refused for tokens, keys and subjects", () => {
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

test("in a subject each name is one token", () => {
  expect(recordSubject("a.b", "c.d")).toBe("$KV.machined_machines.a_b.c_d");
  expect(recordSubject("a.b", null)).toBe("$KV.machined_hosts.a_b");
  expect(eventSubject("a.b", "machine")).toBe("machined.events.a_b.machine");
  expect(requestSubject("a.b", "lifecycle", "start")).toBe("machined.a_b.lifecycle.start");
});

test("the name 'events' is refused for a host, because subjects of events begin with it", () => {
  expect(isFleetHost("events")).toBe(false);
  expect(isFleetHost("events1")).toBe(true);
  expect(() => requestSubject("events", "read", "list")).toThrow(TypeError);
});
