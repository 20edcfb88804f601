// What `machinectl enable` prints of the service manager's answer.
import { expect, test } from "bun:test";
import { runMachinectl } from "../../../../src/cli/program/machinectl.ts";
import { FakeManagers } from "../fake-managers.ts";
import { FakeProcess, WORLDS, type World } from "../fake-world.ts";

const WORLD = WORLDS["two"] as World;

/** Runs `enable` where the service manager reports these changes; returns what was printed to standard error. */
async function enabled(changes: readonly (readonly string[])[], ...options: string[]): Promise<string> {
  const managers = new FakeManagers(WORLD);
  const bus = managers.bus.bind(managers);
  managers.bus = () => {
    const connection = bus();
    const call: typeof connection.call = async (request) =>
      request.member === "EnableUnitFiles" ? [true, changes] : await connection.call(request);
    return { ...connection, call };
  };
  const process = new FakeProcess(WORLD, {}, managers);
  expect(await runMachinectl([...options, "enable", "mini"], process)).toBe(0);
  return process.stderr;
}

test("a target that does not exist, and an auxiliary unit that could not be enabled, are reported as by systemd", async () => {
  const changes = [
    ["destination not present", "machines.target", "systemd-nspawn@mini.service"],
    ["auxiliary unit failed", "other.service", ""],
    ["of another release", "x", "y"],
  ];
  expect(await enabled(changes)).toBe(
    "Unit systemd-nspawn@mini.service is added as a dependency to a non-existent unit machines.target.\n" +
      "Failed to enable auxiliary unit other.service, ignoring.\n",
  );
  expect(await enabled(changes, "--quiet")).toBe("");
});
