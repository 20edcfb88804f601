// `machinectl logs -f` of a machine that does not run. The test plays the manager, and the programs that print the
// journal of the machine's image.
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Variant } from "../../../../src/base/variant.ts";
import { runMachinectl } from "../../../../src/cli/program/machinectl.ts";
import type { Bus } from "../../../../src/cli/session/ports.ts";
import { waitFor } from "../../../lib/wait-for.ts";
import { FakeBusError } from "../fake-managers.ts";
import { FakeProcess, WORLDS, type World } from "../fake-world.ts";

const directory = mkdtempSync(join(tmpdir(), "logs-follow-test-"));
const path = process.env["PATH"];

beforeAll(() => {
  for (const name of ["unshare", "setpriv", "journalctl"]) {
    writeFileSync(join(directory, name), "#!/bin/sh\necho entry\n", { mode: 0o755 });
  }
  mkdirSync(join(directory, "tree/var/log/journal"), { recursive: true });
  writeFileSync(join(directory, "tree/var/log/journal/system.journal"), "");
  process.env["PATH"] = `${directory}:${path}`;
});
afterAll(() => {
  process.env["PATH"] = path;
  rmSync(directory, { recursive: true });
});

/** A client whose manager knows one image, and no machine. */
class OnlyImage extends FakeProcess {
  /** Ends the connection to the manager. */
  loseConnection = () => {};

  override connectBus = async (): Promise<Bus> => ({
    ...this.managers.bus(),
    call: async ({ member }) => {
      if (member === "GetImage") return ["/org/freedesktop/machine1/image/old"];
      const properties = { Path: join(directory, "tree"), Type: "directory" };
      const all = new Map(Object.entries(properties).map(([name, value]) => [name, new Variant("s", value)]));
      if (member === "GetAll") return [all];
      throw new FakeBusError("org.freedesktop.machine1.NoSuchMachine", "No machine 'old' known");
    },
    onClose: (handler) => {
      this.loseConnection = handler;
    },
  });
}

test("a client that waits for the machine's start fails where the connection to the manager is lost", async () => {
  const client = new OnlyImage(WORLDS["empty"] as World);
  const status = runMachinectl(["logs", "-f", "old"], client);
  const waiting = "Machine 'old' does not run; waiting until it is started\n";
  await waitFor(() => expect(client.stderr).toEndWith(waiting), "the wait for the machine");
  client.loseConnection();
  expect([await status, client.stdout]).toEqual([1, "entry\n"]);
  expect(client.stderr).toEndWith(`${waiting}The connection to the manager was lost\n`);
});
