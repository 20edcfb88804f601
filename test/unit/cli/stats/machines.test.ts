// The machines that `machinectl stats` measures, with a manager that the test plays.
import { expect, test } from "bun:test";
import { runMachinectl } from "../../../../src/cli/program/machinectl.ts";
import type { Bus } from "../../../../src/cli/session/ports.ts";
import { SyscallError } from "../../../../src/kernel/syscall/sys.ts";
import { FakeBusError } from "../fake-managers.ts";
import { FakeProcess, WORLDS, type World } from "../fake-world.ts";

const NO_REPLY = new FakeBusError("org.freedesktop.DBus.Error.NoReply", "No reply");

/** A client whose manager lists machines, and answers questions about one of them with an error. */
class FailingProcess extends FakeProcess {
  readonly #error: Error;

  constructor(error: Error) {
    super(WORLDS["one"] as World);
    this.#error = error;
  }

  override connectBus = async (): Promise<Bus> => {
    const bus = this.managers.bus();
    const call: Bus["call"] = (request) =>
      request.member === "GetAll" ? Promise.reject(this.#error) : bus.call(request);
    return { ...bus, call };
  };
}

test.each([
  ["No reply", NO_REPLY],
  ["Too many open files", new SyscallError("pidfd_open", 24)],
] as const)("a machine about which nothing is known is not left out (%s)", async (reason, error) => {
  const complaint = `Could not get properties: ${reason}\n`;
  const client = new FailingProcess(error);
  expect([await runMachinectl(["stats"], client), client.stdout, client.stderr]).toEqual([1, "", complaint]);
});
