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
