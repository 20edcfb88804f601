import { expect, test } from "bun:test";
import { UTC } from "../../../../src/base/text/format.ts";
import { Variant } from "../../../../src/base/variant.ts";
import { propertyJson, propertyText, shellWord } from "../../../../src/cli/format/property-text.ts";

const MAX = 18446744073709551615n;

function text(name: string, signature: string, value: unknown): string | null {
  return propertyText(name, { signature, value }, UTC);
}

test("the format of a number follows from the property's name, such as Timestamp or UID (C57, C59)", () => {
  expect(text("Timestamp", "t", 1795350902752697n)).toBe("Sun 2026-11-22 12:35:02 UTC");
  expect(text("CreationTimestamp", "t", 0n)).toBe("");
  expect(text("TimestampMonotonic", "t", 987029024n)).toBe("987029024");
  expect(text("TimeoutUSec", "t", 90_000_000n)).toBe("1min 30s");
  expect([text("Limit", "t", MAX), text("Usage", "t", MAX), text("PoolLimit", "t", MAX)]).toEqual([
    "infinity",
    String(MAX),
    String(MAX),
  ]);
  expect([text("UID", "u", 4294967295), text("UID", "u", 0), text("UMask", "u", 18)]).toEqual([
    "[not set]",
    "0",
    "0022",
  ]);
  expect([text("X", "i", -5), text("X", "d", 1.5), text("X", "x", -7n), text("X", "y", 7)]).toEqual([
    "-5",
    "1.5",
    "-7",
    "7",
  ]);
});

test("other types have a format each; some types are not printed (C55, C56)", () => {
  expect(text("Id", "ay", Buffer.from("00ff10", "hex"))).toBe("00ff10");
  expect(text("ReadOnly", "b", true)).toBe("yes");
  expect(text("List", "as", ["a b", "c", "", 'q"$'])).toBe('"a b" c "" "q\\"\\$"');
  expect(text("Marks", "au", [255, 1])).toBe("000000ff 00000001");
  expect(text("Name", "s", "two\nlines")).toBe("[unprintable]");
  expect([text("NetworkInterfaces", "ai", [3]), text("X", "a{ss}", new Map()), text("X", "(ss)", ["a"])]).toEqual([
    null,
    null,
    null,
  ]);
});

test("words are quoted where the service manager quotes them", () => {
  const plain = ["--machine=web", "x{1,2}", "~", "#1", "50%", "a:b@c"];
  expect(plain.map(shellWord)).toEqual(plain);
  expect(["-p -- \\u", "a;b", "a!", "a\nb"].map(shellWord)).toEqual(['"-p -- \\\\u"', '"a;b"', '"a!"', '"a\nb"']);
  expect(["a", "a-b_c/d.e", "it's", "*"].map(shellWord)).toEqual(["a", "a-b_c/d.e", '"it\'s"', '"*"']);
});

test("every type can be written as JSON", () => {
  expect(propertyJson(Buffer.from([1, 255]))).toBe("01ff");
  expect(propertyJson([1, [2n, "x"]])).toEqual([1, [2n, "x"]]);
  expect(propertyJson(new Map([["k", new Variant("as", ["v"])]]))).toEqual({ k: ["v"] });
});
