// The extra columns of machines: which image a machine was started from, and its memory.
import { expect, test } from "bun:test";
import { extrasOf, imageOf } from "../../../../src/cli/machine/extras.ts";
import { Session } from "../../../../src/cli/session/session.ts";
import { defaultSettings } from "../../../../src/cli/session/settings.ts";
import { Meter } from "../../../../src/stats/meter.ts";
import { FakeProcess, WORLDS, type World } from "../fake-world.ts";

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

test("the memory of a machine is that which stats shows: not that of the host where its unit is not accounted for", async () => {
  const session = new Session(defaultSettings(), new FakeProcess(WORLDS["empty"] as World));
  for (const unit of ["", "no-such-unit.scope"]) {
    const facts = { class: "container", unit, leaderPid: process.pid, rootDirectory: "", sinceUsec: 0, uid: 0 };
    const [extras] = await extrasOf(session, [facts], new Set(["memory"]));
    using meter = new Meter(process.pid, unit);
    const isCounted = meter.read().memoryBytes !== null;
    expect([unit, typeof extras?.memoryBytes === "number"]).toEqual([unit, isCounted]);
  }
});
