// The limits of a machine's description: a caller is refused, a state file is read without the field.
import { describe, expect, test } from "bun:test";
import {
  type MachineDescription,
  NO_DESCRIPTION,
  requireBounds,
  withinBounds,
} from "../../../../src/registry/machine/description.ts";

const LONG = "x".repeat(5000);
const GOOD: MachineDescription = {
  service: "systemd-nspawn",
  rootDirectory: "/var/lib/machines/a",
  networkInterfaces: [3, 7],
  vsockCid: 42,
  sshAddress: "vsock/42",
  sshPrivateKeyPath: "/run/key",
  controlAddress: "/run/control",
};
const BAD: { readonly [Field in keyof MachineDescription]: readonly MachineDescription[Field][] } = {
  service: ["a\nb", LONG],
  rootDirectory: ["relative", `/${LONG}`, "/a\x1b[2J", `/${"n".repeat(256)}`],
  networkInterfaces: [[0], [-1], [1.5], [2 ** 31], Array(1025).fill(1)],
  vsockCid: [0, 1, 2, 2 ** 32],
  sshAddress: ["a\x7f", LONG],
  sshPrivateKeyPath: ["/k\0", LONG],
  controlAddress: ["\u0085", LONG],
};
const FIELDS = Object.keys(NO_DESCRIPTION) as (keyof MachineDescription)[];

describe("a description of a machine", () => {
  test("within the limits is accepted unchanged", () => {
    expect(() => requireBounds(GOOD, ...FIELDS)).not.toThrow();
    expect(() => requireBounds(NO_DESCRIPTION, ...FIELDS)).not.toThrow();
    expect(withinBounds(GOOD)).toEqual(GOOD);
  });

  for (const field of FIELDS) {
    test(`whose ${field} exceeds the limits is refused, and read from a state file without that field`, () => {
      for (const value of BAD[field]) {
        const bad = { ...GOOD, [field]: value };
        expect(() => requireBounds(bad, ...FIELDS)).toThrow(/InvalidArgs|Invalid|must be|too long|Too many/);
        if (field !== "networkInterfaces")
          expect(withinBounds(bad)).toEqual({ ...GOOD, [field]: NO_DESCRIPTION[field] });
      }
    });
  }

  test("is read without invalid interfaces and without those above the limit", () => {
    const networkInterfaces = [0, 5, -1, ...Array(1030).fill(6)];
    const kept = withinBounds({ ...GOOD, networkInterfaces }).networkInterfaces;
    expect(kept).toEqual([5, ...Array(1023).fill(6)]);
  });
});
