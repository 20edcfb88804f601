// Descriptors of a file system that does not answer close(2), which a user sends to the daemons over a bus.
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { encodeMessage } from "../../src/ipc/message/message.ts";
import { openPath } from "../../src/kernel/file/fd.ts";
import { isRoot, manager as machineManager, TestDaemon } from "../lib/daemon.ts";
import { mountHostile } from "../lib/hostile-file-system.ts";
import { hasBusDaemon, TestBus } from "../lib/private-bus.ts";
import { havePrograms } from "../lib/programs.ts";
import { GUARD_MS, waitFor } from "../lib/wait-for.ts";
import { Announcements, manager as importManager, TestImportd } from "./import-support.ts";

setDefaultTimeout(GUARD_MS);

const can = isRoot && hasBusDaemon && havePrograms("hostile files on a bus", "python3");
const reason = can ? "" : " (left out: needs root, dbus-daemon and python3)";
const COUNT = 20;

const hex = (message: Parameters<typeof encodeMessage>[0]) => encodeMessage(message).bytes.toString("hex");
const HELLO = hex({
  type: 1,
  serial: 1,
  destination: "org.freedesktop.DBus",
  path: "/org/freedesktop/DBus",
  interface: "org.freedesktop.DBus",
  member: "Hello",
});

/** A call with a descriptor; it needs no permission, or is refused without a question to polkit. */
function callOf(service: "machine1" | "import1", member: string, signature: string, more: unknown[]): string {
  using nothing = openPath("/dev/null", "path");
  const name = `org.freedesktop.${service}`;
  const head = { type: 1, serial: 2, destination: name, path: `/${name.replaceAll(".", "/")}` };
  return hex({ ...head, interface: `${name}.Manager`, member, signature, body: [nothing, ...more] });
}

/** Sends COUNT calls with a descriptor of `file`; each is answered with an error. The sender ends with the test. */
async function send(bus: TestBus, file: string, call: string): Promise<void> {
  const script = join(import.meta.dir, "../lib/file-on-bus.py");
  const words = ["python3", script, bus.socket, file, HELLO, call, String(COUNT)];
  const sender = Bun.spawn(words, { stdio: ["pipe", "pipe", "inherit"] });
  await sender.stdout.getReader().read();
}

const ownFilesOn = (pid: number, path: string) =>
  Bun.spawnSync(["find", `/proc/${pid}/fd`, "-lname", `${path}*`]).stdout.toString();

describe.skipIf(!can)(`files that cannot be closed${reason}`, () => {
  test("systemd-machined starts workers beside them, and ends", async () => {
    const here = mkdtempSync(join(tmpdir(), "hostile-files-"));
    await using bus = await TestBus.start();
    await using daemon = await TestDaemon.start({ DBUS_SYSTEM_BUS_ADDRESS: bus.address });
    const client = await bus.connect();
    await waitFor(() => machineManager(client, "ListMachines"), "the daemon on the bus");
    {
      using hostile = await mountHostile(join(here, "files"));
      await send(bus, hostile.image, callOf("machine1", "ListMachines", "h", []));
      expect(await machineManager(client, "CleanPool", "s", "hidden")).toEqual([[]]);
      await waitFor(
        () => hostile.waiting.size === COUNT || Promise.reject(new Error("not all")),
        "a close of each file",
      );
      expect(ownFilesOn(daemon.pid, here)).toBe("");
      expect(await daemon.kill()).toBe(0);
    }
    client.close();
    rmSync(here, { recursive: true });
  });

  test("systemd-importd runs transfers beside them", async () => {
    const here = mkdtempSync(join(tmpdir(), "hostile-files-"));
    await using bus = await TestBus.start();
    await using daemon = await TestImportd.start({ DBUS_SYSTEM_BUS_ADDRESS: bus.address });
    const client = await bus.connect();
    await waitFor(() => importManager(client, "ListTransfers"), "the daemon on the bus");
    const results = await Announcements.of(client);
    {
      using hostile = await mountHostile(join(here, "files"));
      for (const call of [
        callOf("import1", "ListTransfers", "h", []),
        callOf("import1", "ImportTar", "hsbb", ["/", false, false]),
      ]) {
        await send(bus, hostile.image, call);
        const path = join(here, "exported");
        writeFileSync(path, "");
        using file = openPath(path, "write");
        const [id] = await importManager(client, "ExportTar", "shs", "target", file, "");
        expect(await results.result(id as number)).toBe("done");
        expect(readFileSync(path, "utf8")).toBe("the content");
        await waitFor(() => ownFilesOn(daemon.pid, here) === "" || Promise.reject(new Error("open")), "no open file");
      }
    }
    client.close();
    rmSync(here, { recursive: true });
  });
});
