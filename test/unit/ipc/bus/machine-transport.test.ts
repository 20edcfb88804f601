// The identity with which a client connects to the bus of a machine.
import { expect, test } from "bun:test";
import { outsideOfRoot } from "../../../../src/ipc/bus/machine-transport.ts";

const MAPS: readonly (readonly [what: string, map: string, outside: number | null])[] = [
  ["a namespace with shifted users", "         0     524288      65536\n", 524288],
  ["the namespace of the host", "         0          0 4294967295\n", 0],
  [
    "root in a line that is not the first",
    "         1     100000      65536\n         0       1000          1\n",
    1000,
  ],
  ["a namespace without root", "      1000       1000          1\n", null],
  // Its processes are nobody's yet: above all, root of the host must not speak for them.
  ["a namespace whose map is not written", "", null],
];

for (const [what, map, outside] of MAPS) {
  test(`the root user of ${what} is ${outside === null ? "unknown" : `user ${outside} outside`}`, () => {
    expect(outsideOfRoot(map)).toBe(outside);
  });
}
