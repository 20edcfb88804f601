import { expect, test } from "bun:test";
import { type PaxRecords, readPax } from "../../../../src/worker/tar/pax.ts";
import { encodeAcl } from "../../../../src/worker/tar/pax-acl.ts";
import { isPaxSparse } from "../../../../src/worker/tar/sparse.ts";
import { paxRecord } from "../archive-builder.ts";

/** Names that every object of the language has. */
const INHERITED = ["constructor", "toString", "valueOf", "__proto__"];

test.each(INHERITED)("the key %s of an extended header has no meaning", (key) => {
  const records: PaxRecords = new Map();
  readPax(paxRecord(key, "0,1"), records);
  expect([...records.keys()]).toEqual([key]);
  expect(isPaxSparse(records)).toBe(false);
});

test.each(INHERITED)("an access control list for %s is damaged", (kind) => {
  expect(() => encodeAcl(`${kind}::rwx`)).toThrow("bad access control list");
});
