import { expect, test } from "bun:test";
import { livingMachines } from "../../../src/fleet/record.ts";
import { RecordClock } from "../../../src/fleetd/clock.ts";

test("records that a host writes after its clock was set back are not older than those before", () => {
  let now = 5_000_000;
  const clock = new RecordClock(() => now);
  const host = { host: "h", bootId: "", agent: "", machines: 1, names: ["m"], allow: [], since: clock.usec(), time: 0 };
  now -= 3_600_000;
  const machine = { host: "h", machine: "m", class: "", service: "", os: "", version: "", addresses: [] };
  expect(livingMachines([{ ...machine, time: clock.usec() }], [host]).length).toBe(1);
  now += 7_200_000;
  expect(clock.usec()).toBe(now * 1000);
});
