// Machines as targets of Prometheus.
import { expect, test } from "bun:test";
import { parsePort, reachableAddress, targetGroups } from "../../../src/stats/targets.ts";

test("a target's address can be reached from other hosts: routed before link-local, never one that needs an interface", () => {
  expect(reachableAddress(["10.0.0.2", "fd00::2"])).toBe("10.0.0.2");
  expect(reachableAddress(["169.254.3.4", "fd00::2", "fe80::1"])).toBe("fd00::2");
  expect(reachableAddress(["169.254.3.4", "fe80::1"])).toBe("169.254.3.4");
  expect(reachableAddress(["fe80::1", "FEBF::1"])).toBeNull();
  expect(reachableAddress([])).toBeNull();
});

test("a target has the machine's name, class and service as labels; a machine without an address is left out", () => {
  const machine = { class: "container", service: "systemd-nspawn" };
  expect(
    targetGroups(
      [
        { name: "a", ...machine, addresses: ["10.0.0.2"] },
        { name: "b", ...machine, addresses: ["fd00::2"] },
        { name: "c", ...machine, addresses: ["fe80::1"] },
      ],
      9100,
    ),
  ).toEqual([
    { targets: ["10.0.0.2:9100"], labels: { machine: "a", ...machine } },
    { targets: ["[fd00::2]:9100"], labels: { machine: "b", ...machine } },
  ]);
});

test("a port is a number from 1 to 65535", () => {
  expect(["1", "9100", "65535", "0", "65536", "", "-1", "1.0", "0x10", "123456"].map(parsePort)).toEqual([
    1,
    9100,
    65_535,
    ...new Array(7).fill(null),
  ]);
});
