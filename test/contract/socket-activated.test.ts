// A service that its socket starts must be started however often it has died: after the start limit systemd lets the
// socket fail, and callers get no connection until root starts it again (systemd.unit(5), StartLimitIntervalSec=).
import { expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

const UNITS = join(import.meta.dir, "../../install");

test("services that sockets start have no start limit", () => {
  const sockets = ["systemd", "systemd-user"].flatMap((directory) =>
    readdirSync(join(UNITS, directory))
      .filter((name) => name.endsWith(".socket"))
      .map((name) => join(UNITS, directory, name.replace(".socket", ".service"))),
  );
  expect(sockets.length).toBeGreaterThan(4);
  for (const service of sockets) expect(readFileSync(service, "utf8")).toContain("\nStartLimitIntervalSec=0\n");
});
