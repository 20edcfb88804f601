import { expect, test } from "bun:test";
import { parseVolumeName, parseVolumeSpec } from "../../../../src/cli/machine/volume-spec.ts";

const NAMED = { provider: "fs", volume: "disk" };

// The results of systemd 262 for the same texts.
test.each([
  ["fs:disk", { ...NAMED, acquisition: {} }],
  ["fs:disk:", { ...NAMED, acquisition: {} }],
  ["fs:disk::", { ...NAMED, acquisition: {} }],
  ["fs:disk::,", { ...NAMED, acquisition: {} }],
  ["fs:disk:virtio-blk", { ...NAMED, config: "virtio-blk", acquisition: {} }],
  ["fs:a/b c", { provider: "fs", volume: "a/b c", acquisition: {} }],
  ["fs:disk::ro=1,", { ...NAMED, acquisition: { readOnly: true } }],
  ["fs:disk::read-only=off,request-as=reg", { ...NAMED, acquisition: { readOnly: false, requestAs: "reg" } }],
  ["fs:disk::create=any,template=a:b", { ...NAMED, acquisition: { createMode: "any", template: "a:b" } }],
  ["fs:disk::create-size=1M", { ...NAMED, acquisition: { createSizeBytes: 1n << 20n } }],
  ["fs:disk::size=18446744073709551615", { ...NAMED, acquisition: {} }],
  ...[
    "fs",
    "fs:",
    ":disk",
    "a/b:disk",
    "..:disk",
    "fs:disk::ro",
    "fs:disk::ro=",
    "fs:disk::ro=1,ro=0",
    "fs:disk:::",
  ].map((text) => [text, "EINVAL"] as const),
  ...["fs:disk::size=0", "fs:disk::create=", "fs:disk::create=x", "fs:disk::x=1", "fs:disk:a:ro=1:x"].map(
    (text) => [text, "EINVAL"] as const,
  ),
  ["fs:disk::size=-1", "ERANGE"],
])("bind-volume %s", (text, wanted) => {
  expect(parseVolumeSpec(text)).toEqual(wanted as ReturnType<typeof parseVolumeSpec>);
});

test("the volume in PROVIDER:VOLUME of unbind-volume may contain colons", () => {
  expect(parseVolumeName("a:b:c")).toEqual({ provider: "a", volume: "b:c" });
  expect([":b", "a:", "a", "a/b:c"].map(parseVolumeName)).toEqual([null, null, null, null]);
});
