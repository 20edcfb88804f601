// A body is serialised once: the number of descriptors, a field of the header, is filled in after the body.
import { expect, test } from "bun:test";
import { Variant } from "../../../../src/base/variant.ts";
import { decodeBody, decodeHead, encodeMessage, MESSAGE_TYPE, measure } from "../../../../src/ipc/message/message.ts";
import type { Fd } from "../../../../src/kernel/file/fd.ts";

const FILES = [{ number: 5 }, { number: 6 }] as unknown as readonly Fd[];

function sent(destination: string, signature: string, body: readonly unknown[]) {
  const { bytes, descriptors } = encodeMessage({
    ...{ type: MESSAGE_TYPE.reply, serial: 7, replySerial: 9 },
    ...{ destination, signature, body },
  });
  const { head, total } = measure(bytes);
  expect(total).toBe(bytes.length);
  expect(head % 8).toBe(0);
  return { head: decodeHead(bytes), values: decodeBody(bytes, head, signature, descriptors as Fd[]), descriptors };
}

test("a body with descriptors, also in variants, is parsed to the same values, for headers of all lengths", () => {
  const variant = new Variant("h", FILES[1]);
  const body = [FILES[0], 2n ** 60n, [["LeaderPIDFD", variant]]];
  for (let length = 1; length < 20; length++) {
    const destination = `:1.${"5".repeat(length)}`;
    const { head, values, descriptors } = sent(destination, "hta(sv)", body);
    expect(head).toMatchObject({ destination, signature: "hta(sv)", descriptorCount: 2 });
    expect(descriptors).toEqual([...FILES]);
    expect(values).toEqual(body);
  }
});

test("the header of a message with a variant but without descriptors has no number of descriptors", () => {
  const { head, values, descriptors } = sent(":1.5", "v", [new Variant("s", "running")]);
  expect(head.descriptorCount).toBe(0);
  expect(values).toEqual([new Variant("s", "running")]);
  expect(descriptors).toEqual([]);
});

/** A call whose header has another field `code`, of the type `signature`, after the usual ones. */
function withField(code: number, signature: string, alignment: number, value: Uint8Array): Buffer {
  const call = { path: "/a", interface: "a.b", member: "C", destination: ":1.5", signature: "y", body: [7] };
  const { bytes } = encodeMessage({ type: MESSAGE_TYPE.call, serial: 7, ...call });
  const { head } = measure(bytes);
  const name = Buffer.concat([Uint8Array.of(code, signature.length), Buffer.from(`${signature}\0`)]);
  const padding = Buffer.alloc(-name.length & (alignment - 1));
  const header = Buffer.concat([bytes.subarray(0, head), name, padding, value]);
  header.writeUInt32LE(header.length - 16, 12);
  return Buffer.concat([header, Buffer.alloc(-header.length & 7), bytes.subarray(head)]);
}

function within(count: number, begin: string, inner: string, end: string): string {
  return begin.repeat(count) + inner + end.repeat(count);
}

test.each([
  ["a descriptor that the message does not have", "h", 4, [7, 0, 0, 0]],
  ["an array of descriptors", "ah", 4, [8, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0]],
  ["a number", "t", 8, [1, 2, 3, 4, 5, 6, 7, 8]],
  ["a structure", "(yh)", 8, [1, 0, 0, 0, 9, 0, 0, 0]],
  ["a text", "s", 4, [2, 0, 0, 0, 0xff, 0xfe, 0]],
  ["a byte", "y", 1, [1]],
  ["a variant with a descriptor", "v", 1, [1, 0x68, 0, 0, 9, 0, 0, 0]],
  ["an array in structures", `a${within(32, "(", "as", ")")}`, 8, new Array(8).fill(0)],
  ["a structure without fields", "(y())", 8, [1, 0, 0, 0, 0, 0, 0, 0]],
  ["an entry of a dictionary", "{sh}", 8, [1, 0, 0, 0, 0x41, 0, 0, 0, 9, 0, 0, 0]],
  [
    "arrays in structures in dictionaries",
    within(21, "a{s", within(32, "a(s", "y", ")"), "}"),
    8,
    new Array(8).fill(0),
  ],
])("an unknown header field is ignored, whatever it contains: %s", (_, signature, alignment, value) => {
  const bytes = withField(77, signature, alignment, Uint8Array.from(value));
  const { head, total } = measure(bytes);
  expect(total).toBe(bytes.length);
  expect(decodeHead(bytes)).toMatchObject({ member: "C", destination: ":1.5", signature: "y", descriptorCount: 0 });
  expect(decodeBody(bytes, head, "y", [])).toEqual([7]);
});

test("an unknown header field that is longer than the header is an error", () => {
  for (const signature of ["ay", "s"])
    expect(() => decodeHead(withField(77, signature, 4, Uint8Array.of(200, 0, 0, 0)))).toThrow("message ends early");
  const nested = Buffer.concat([
    ...Array.from({ length: 80 }, () => Buffer.from("\x01v\0")),
    Buffer.from("\x01y\0\x07"),
  ]);
  expect(() => decodeHead(withField(77, "v", 1, nested))).toThrow("nested too deeply");
});

test("arrays and structures are each nested up to 32 times", () => {
  const decode = (signature: string) => {
    const { bytes } = encodeMessage({ type: MESSAGE_TYPE.call, serial: 7, path: "/a", member: "C" });
    // An array without elements: its length, and the padding of structures.
    const empty = Buffer.alloc(signature.startsWith("a(") ? 8 : 4);
    return decodeBody(Buffer.concat([bytes, empty]), bytes.length, signature, []);
  };
  expect(decode(within(32, "a", within(32, "(", "y", ")"), ""))).toEqual([[]]);
  expect(decode(`a${within(32, "(", within(31, "a", "y", ""), ")")}`)).toEqual([[]]);
  expect(decode(within(31, "a", "a{sv}", ""))).toEqual([[]]);
  for (const deep of [within(33, "a", "y", ""), `a${within(33, "(", "y", ")")}`, within(32, "a", "a{sv}", "")]) {
    expect(() => decode(deep)).toThrow("nested too deeply");
  }
});

test("the name of an error is that of the specification", () => {
  const error = (errorName: string) =>
    decodeHead(encodeMessage({ type: MESSAGE_TYPE.error, serial: 7, replySerial: 9, errorName }).bytes).errorName;
  const longest = `a.${"b".repeat(253)}`;
  for (const name of ["System.Error.ENXIO", "org.freedesktop.DBus.Error.Failed", "_a.B9_", longest]) {
    expect(error(name)).toBe(name);
  }
  for (const name of [
    "",
    "one",
    "a..b",
    ".a.b",
    "a.b.",
    "1a.b",
    "a.2b",
    "a.b-c",
    "a.b c",
    "a.b\n",
    "a.ä",
    `${longest}b`,
  ]) {
    expect(() => error(name)).toThrow("error name is not valid");
  }
});

test("a call has at most 4096 arrays, structures and variants, which take much memory; a reply has 524288", () => {
  const decode = (type: number, signature: string, value: unknown) => {
    const head = { path: "/a", member: "C", replySerial: 9, errorName: "a.b" };
    const { bytes } = encodeMessage({ type, serial: 7, ...head, signature, body: [value] });
    return (decodeBody(bytes, measure(bytes).head, signature, [])[0] as unknown[]).length;
  };
  const many = <Value>(count: number, value: Value) => new Array<Value>(count).fill(value);
  const property = ["", new Variant("y", 0)];
  for (const [signature, value, most] of [
    ["aay", Buffer.alloc(0), 4095],
    ["aas", [], 4095],
    ["a(y)", [7], 4095],
    ["av", new Variant("y", 7), 4095],
    // Each property is a structure with a variant.
    ["a(sv)", property, 2047],
  ] as const) {
    expect(decode(MESSAGE_TYPE.call, signature, many(most, value))).toBe(most);
    expect(() => decode(MESSAGE_TYPE.call, signature, many(most + 1, value))).toThrow("too many arrays");
    expect(decode(MESSAGE_TYPE.reply, signature, many(20_000, value))).toBe(20_000);
  }
  expect(decode(MESSAGE_TYPE.call, "as", many(200_000, "x"))).toBe(200_000);
  expect(decode(MESSAGE_TYPE.reply, "aay", many(524_287, Buffer.alloc(0)))).toBe(524_287);
  expect(() => decode(MESSAGE_TYPE.reply, "aay", many(524_288, Buffer.alloc(0)))).toThrow("too many arrays");
});
