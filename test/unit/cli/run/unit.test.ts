// The unit of a machine of `run`, and `run-remove`, which it runs at its end. The test plays the managers.
import { expect, test } from "bun:test";
import { Variant } from "../../../../src/base/variant.ts";
import { runMachinectl } from "../../../../src/cli/program/machinectl.ts";
import type { RunOrder } from "../../../../src/cli/run/order.ts";
import { startRun } from "../../../../src/cli/run/unit.ts";
import type { Bus } from "../../../../src/cli/session/ports.ts";
import { Session } from "../../../../src/cli/session/session.ts";
import { defaultSettings } from "../../../../src/cli/session/settings.ts";
import { FakeBusError } from "../fake-managers.ts";
import { FakeProcess, FakeSyscallError, WORLDS, type World } from "../fake-world.ts";

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

const ORDER: RunOrder = {
  ...{ runner: "nspawn" as const, image: "mini", machine: "clone", isTemporary: true, hasCommand: false },
  ...{ network: null, options: [], environment: [] },
};

test("a unit that fails is reported also where no process is free to read its log", async () => {
  const client = new FakeProcess(WORLDS["one"] as World);
  client.run = () => Promise.reject(new FakeSyscallError("EAGAIN"));
  let ended = (..._signal: Parameters<Parameters<Bus["subscribe"]>[1]>) => {};
  client.connectBus = async () => ({
    ...client.managers.bus(),
    call: async () => {
      ended([1, "/job/1", "machined-run-clone.service", "failed"], {} as never);
      return ["/job/1"];
    },
    subscribe: async (_rule, handler) => {
      ended = handler;
      return async () => {};
    },
  });
  const started = startRun(new Session(defaultSettings(), client), ORDER, null);
  await expect(started).rejects.toThrow("'journalctl --unit=machined-run-clone.service' says why");
});

test("the unit ends before the manager, which removes the clone, when the host shuts down", async () => {
  const client = new FakeProcess(WORLDS["one"] as World);
  await expect(startRun(new Session(defaultSettings(), client), ORDER, null)).rejects.toThrow("Cannot run image");
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
