// The end of a temporary machine of `run`, whose unit runs `run-remove`. The test plays the manager.
import { expect, test } from "bun:test";
import { Variant } from "../../../../src/base/variant.ts";
import { runMachinectl } from "../../../../src/cli/program/machinectl.ts";
import { startRun } from "../../../../src/cli/run/unit.ts";
import type { Bus } from "../../../../src/cli/session/ports.ts";
import { Session } from "../../../../src/cli/session/session.ts";
import { defaultSettings } from "../../../../src/cli/session/settings.ts";
import { FakeBusError } from "../fake-managers.ts";
import { FakeProcess, WORLDS, type World } from "../fake-world.ts";

/** The process of a unit whose runtime directory has the mark of a clone, with a manager that fails. */
class FailingProcess extends FakeProcess {
  readonly #error: Error;

  constructor(error: Error) {
    super(WORLDS["one"] as World, { env: { RUNTIME_DIRECTORY: "/run/machined-run/clone" } });
    this.#error = error;
  }

  override connectBus = async (): Promise<Bus> => ({
    ...this.managers.bus(),
    call: async () => {
      throw this.#error;
    },
  });
}

test("the unit ends before the manager, which removes the clone, when the host shuts down", async () => {
  const client = new FakeProcess(WORLDS["one"] as World);
  const place = { image: "mini", machine: "clone", network: null, options: [], environment: [] };
  const order = { ...place, runner: "nspawn", isTemporary: true, hasCommand: false } as const;
  await expect(startRun(new Session(defaultSettings(), client), order, null)).rejects.toThrow("Cannot run image");
  const [, , properties] = client.managers.calls.find(({ member }) => member === "StartTransientUnit")?.body ?? [];
  expect(properties).toContainEqual(["After", new Variant("as", ["dbus.service", "systemd-machined.service"])]);
});

test("a clone that is gone need not be removed", async () => {
  const error = new FakeBusError("org.freedesktop.machine1.NoSuchImage", "No image 'clone' known");
  const client = new FailingProcess(error);
  expect([await runMachinectl(["run-remove", "clone"], client), client.stderr]).toEqual([0, ""]);
});

test("where the manager does not say whether there is a clone, the unit fails, and the reason is in its log", async () => {
  const client = new FailingProcess(new FakeBusError("org.freedesktop.DBus.Error.NoReply", "No reply"));
  expect(await runMachinectl(["run-remove", "clone"], client)).toBe(1);
  expect(client.stderr).toBe("Failed to check whether image clone exists: No reply\n");
});
