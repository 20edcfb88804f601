// A daemon that is told to end ends, whatever it waits for: at the end of the host, its peers may have ended before.
import { afterEach, describe, expect, test } from "bun:test";
import { join } from "node:path";
import type { Subprocess } from "bun";
import { isRoot, needsRoot, TestDaemon } from "../lib/daemon.ts";
import { hasBusDaemon, TestBus } from "../lib/private-bus.ts";
import { GUARD_MS, waitFor } from "../lib/wait-for.ts";

const MAIN = join(import.meta.dir, "../../src/main.ts");
const PROGRAMS = ["systemd-machined", "systemd-importd"];

describe.skipIf(!isRoot)(`SIGTERM${needsRoot}`, () => {
  const children: Subprocess[] = [];
  afterEach(async () => {
    for (const child of children.splice(0)) {
      child.kill("SIGKILL");
      await child.exited;
    }
  });

  /** Starts a program as a daemon of the bus at an address, in a directory of its own. */
  function start(program: string, directory: string, address: string): Subprocess {
    const env = {
      PATH: process.env["PATH"] ?? "",
      MACHINED_RUNTIME_DIRECTORY: directory,
      MACHINED_SERVICE_MANAGER: "systemd",
      DBUS_SYSTEM_BUS_ADDRESS: address,
    };
    const child = Bun.spawn([process.execPath, MAIN, program], { env, stdio: ["ignore", "ignore", "ignore"] });
    children.push(child);
    return child;
  }

  test.each(PROGRAMS)(
    "ends %s that waits for a bus which accepts connections and never answers",
    async (program) => {
      await using place = TestDaemon.prepare();
      let callers = 0;
      const path = join(place.runtime, "bus");
      const open = () => {
        callers++;
      };
      const bus = Bun.listen({ unix: path, socket: { open, data: () => {} } });
      const child = start(program, place.runtime, `unix:path=${path}`);
      await waitFor(() => expect(callers).toBeGreaterThan(0), "the daemon's connection");
      child.kill("SIGTERM");
      expect(await child.exited).toBe(0);
      bus.stop(true);
    },
    GUARD_MS,
  );

  test.skipIf(!hasBusDaemon)(
    `ends systemd-machined that waits for an answer of systemd${hasBusDaemon ? "" : " (left out: needs dbus-daemon)"}`,
    async () => {
      await using place = TestDaemon.prepare();
      await using bus = await TestBus.start();
      const systemd = await bus.connect();
      let calls = 0;
      systemd.onCall(() => {
        calls++;
      });
      await systemd.driver("RequestName", "su", ["org.freedesktop.systemd1", 0]);
      const child = start("systemd-machined", place.runtime, bus.address);
      await waitFor(() => expect(calls).toBeGreaterThan(0), "a call of the daemon");
      child.kill("SIGTERM");
      expect(await child.exited).toBe(0);
      systemd.close();
    },
    GUARD_MS,
  );
});
