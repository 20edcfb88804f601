import { expect, test } from "bun:test";
import { EMPTY_MEMBER, memberHeader } from "../../../../src/worker/tar/writer.ts";

test("names that are no UTF-8 are declared before all names, whichever of them it is", () => {
  const binary = "\xe9".repeat(3);
  for (const [path, target] of [
    ["k".repeat(120), binary],
    [binary, "t".repeat(120)],
    [binary, binary],
    ["short", binary],
  ] as const) {
    const text = memberHeader({ ...EMPTY_MEMBER, type: "2", path, target }).toString("latin1");
    const [charset, linkpath, name] = ["hdrcharset=BINARY", " linkpath=", " path="].map((key) => text.indexOf(key));
    expect(charset).toBeGreaterThan(0);
    for (const at of [linkpath, name]) if (at !== -1) expect(at).toBeGreaterThan(charset ?? 0);
  }
  const plain = memberHeader({
    ...EMPTY_MEMBER,
    path: Buffer.from("ä".repeat(60)).toString("latin1"),
    target: "t".repeat(120),
  });
  expect(plain.includes("hdrcharset")).toBe(false);
});
