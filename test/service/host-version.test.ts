// Behaviour that depends on the host's release of systemd: a bus with a simulated service manager.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { BusClient } from "../../src/ipc/bus/client.ts";
import { errorOf, isRoot, manager, register, TestDaemon } from "../lib/daemon.ts";
import { hasBusDaemon, PlayedManager, TestBus } from "../lib/private-bus.ts";
import { havePrograms } from "../lib/programs.ts";
import { GUARD_MS, waitFor } from "../lib/wait-for.ts";
import { TestMachine } from "./open-support.ts";

const can = isRoot && hasBusDaemon && havePrograms("what hosts of each version are told", "busctl");
const reason = can ? "" : " (left out: needs root, dbus-daemon and busctl)";
const NAME = "org.freedesktop.machine1";

async function callAsNobody(on: TestBus, ...call: string[]): Promise<string> {
  // The bus's directory is for its owner only.
  chmodSync(on.directory, 0o755);
  const command = ["setpriv", "--reuid=65534", "--clear-groups", "busctl", `--address=${on.address}`, "call", NAME];
  const child = Bun.spawn([...command, ...call], { stdio: ["ignore", "pipe", "pipe"] });
  return (await child.stdout.text()) + (await child.stderr.text());
}

for (const version of ["252.39-1", "257.13", "262", "unknown"]) {
  const isOld = version.startsWith("25");

  describe.skipIf(!can)(`on a host of systemd ${version}${reason}`, () => {
    const here = mkdtempSync(join(tmpdir(), "machined-host-version-"));
    let testBus: TestBus;
    let daemon: TestDaemon;
    let machine: TestMachine;
    let bus: BusClient;

    beforeAll(async () => {
      testBus = await TestBus.start();
      const systemd = await PlayedManager.start(testBus);
      systemd.version = version;
      const where = { DBUS_SYSTEM_BUS_ADDRESS: testBus.address, MACHINED_SERVICE_MANAGER: "systemd" };
      daemon = await TestDaemon.start(where);
      bus = await testBus.connect();
      await waitFor(() => manager(bus, "ListMachines"), "the daemon on the bus");
      machine = await TestMachine.start(["--mount"], null);
      await register(bus, "plain", machine.pid, { create: true });
      writeFileSync(join(here, "file"), "hello\n");
      const inside = `/proc/${machine.pid}/root/run`;
      mkdirSync(`${inside}/far/away`, { recursive: true });
      symlinkSync("far/away", `${inside}/link`);
    }, GUARD_MS);
    afterAll(async () => {
      await daemon[Symbol.asyncDispose]();
      await machine[Symbol.asyncDispose]();
      await testBus[Symbol.asyncDispose]();
      rmSync(here, { recursive: true });
    });

    const copyTo = (from: string, to: string) => manager(bus, "CopyToMachine", "sss", "plain", from, to);
    const NOT_NORMALIZED = "path must be absolute and normalized.";

    test(`copies ${isOld ? "accept" : "refuse"} paths that are not normalized`, async () => {
      const paths: readonly [given: string, real: string][] = [
        ["//run//one", "/run/one"],
        ["/run/./two", "/run/two"],
        ["/../run/../run/three", "/run/three"],
        // The result for the link is that of path resolution in the machine.
        ["/run/link/../four", "/run/far/four"],
      ];
      for (const [given, real] of paths) {
        if (!isOld) {
          expect(await errorOf(copyTo(join(here, "file"), given))).toBe(`InvalidArgs: Destination ${NOT_NORMALIZED}`);
          continue;
        }
        await copyTo(`${here}/.//file`, given);
        expect(readFileSync(`/proc/${machine.pid}/root${real}`, "utf8")).toBe("hello\n");
        await manager(bus, "CopyFromMachine", "sss", "plain", given, `${join(here, real.replaceAll("/", "-"))}/`);
        expect(readFileSync(join(here, real.replaceAll("/", "-")), "utf8")).toBe("hello\n");
      }
    });

    test("paths that do not exist or are relative are refused in both releases", async () => {
      for (const path of ["run/x", ".", "..", `/run/${"x".repeat(256)}/../y`]) {
        expect(await errorOf(copyTo(join(here, "file"), path))).toBe(`InvalidArgs: Destination ${NOT_NORMALIZED}`);
      }
      expect(await errorOf(copyTo(join(here, "file"), "/run/none/../y"))).toMatch(isOld ? /^FileNotFound/ : /^Invalid/);
      expect(await errorOf(copyTo(join(here, "file"), "/run/.."))).toMatch(/^InvalidArgs: /);
    });

    test(`the user nobody ${isOld ? "can" : "cannot, without polkit,"} read a machine's OS release`, async () => {
      const call = ["/org/freedesktop/machine1", `${NAME}.Manager`, "GetMachineOSRelease", "s", "plain"];
      const answer = await callAsNobody(testBus, ...call);
      if (isOld) expect(answer).toStartWith("a{ss} ");
      else expect(answer).toContain("Access denied");
    });
  });
}
