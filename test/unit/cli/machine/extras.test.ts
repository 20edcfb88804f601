// Which image a machine was started from, derived from its unit and root directory.
import { expect, test } from "bun:test";
import { imageOf } from "../../../../src/cli/machine/extras.ts";

const CASES: readonly (readonly [unit: string, rootDirectory: string, image: string | null])[] = [
  ["systemd-nspawn@web.service", "/var/lib/machines/web", "web"],
  ["systemd-nspawn@web-1.a.service", "", "web-1.a"],
  ["systemd-nspawn@web\\x2d1.a.service", "", "web-1.a"],
  ["systemd-vmspawn@vm.service", "/", "vm"],
  ["web.service", "/var/lib/machines/deb1", "deb1"],
  ["web.service", "/var/lib/machines/.#machine.deb10123456789abcdef", "deb1"],
  ["web.service", "/var/lib/machines/disk.raw", "disk"],
  ["machine-web.scope", "/srv/tree", null],
  ["machine-web.scope", "", null],
];

for (const [unit, rootDirectory, image] of CASES) {
  test(`a machine in ${unit} on '${rootDirectory}' was started from ${image ?? "no known image"}`, () => {
    expect(imageOf({ unit, rootDirectory })).toBe(image);
  });
}
