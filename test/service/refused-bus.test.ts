// A bus that refuses connections, as dbus-daemon does when a user has too many: it answers Hello with an error, and
// keeps the connection open.
import { expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isRoot, needsRoot, TestDaemon } from "../lib/daemon.ts";
import { PlayedBroker } from "../lib/played-broker.ts";

const MAIN = join(import.meta.dir, "../../src/main.ts");
const LIMITS = "org.freedesktop.DBus.Error.LimitsExceeded";

test.skipIf(!isRoot)(
  `a daemon that the bus refuses tries again, and clients fail at once, without a change to files${needsRoot}`,
  async () => {
    const root = mkdtempSync(join(tmpdir(), "machined-refused-"));
    await using broker = new PlayedBroker(join(root, "bus"));
    broker.refusal = LIMITS;
    await using daemon = await TestDaemon.start({ DBUS_SYSTEM_BUS_ADDRESS: broker.address });
    const run = (...words: string[]) => {
      const env = { PATH: process.env["PATH"] ?? "", DBUS_SYSTEM_BUS_ADDRESS: broker.address };
      return Bun.spawn([process.execPath, MAIN, ...words], { env, stdio: ["ignore", "pipe", "pipe"] });
    };
    const kept = join(root, "kept");
    writeFileSync(kept, "content");
    for (const words of [
      ["machinectl", "login", "x"],
      ["machinectl", "terminate", "x"],
      ["importctl", "-m", "export-tar", "x", kept],
    ]) {
      const client = run(...words);
      const stderr = await client.stderr.text();
      // The bus names its error, and gives no other text.
      expect(stderr).toContain(LIMITS);
      expect(stderr).not.toContain("Waiting");
      expect(await client.exited).toBe(1);
    }
    expect(readFileSync(kept, "utf8")).toBe("content");
    expect(daemon.log).not.toContain("Bug");
    broker.refusal = null;
    await broker.untilOwned("org.freedesktop.machine1");
    rmSync(root, { recursive: true });
  },
);
