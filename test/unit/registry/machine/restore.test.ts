// Restoring machines whose start or stop an earlier daemon had requested.
import { expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ErrnoError } from "../../../../src/base/error.ts";
import { MachineFiles } from "../../../../src/registry/machine/file.ts";
import { Registry } from "../../../../src/registry/machine/registry.ts";
import type { Log, ServiceManager } from "../../../../src/registry/ports.ts";
import { waitFor } from "../../../lib/wait-for.ts";

const JOB = "/org/freedesktop/systemd1/job/7";

test("the end of a job is waited for, though the service manager did not answer when the machine was restored", async () => {
  const directory = mkdtempSync(join(tmpdir(), "machined-restore-"));
  const child = Bun.spawn(["sleep", "infinity"], { stdio: ["ignore", "ignore", "ignore"] });
  try {
    const file = join(directory, "m");
    const unit = "machine-m.scope";
    writeFileSync(file, `NAME=m\nCLASS=container\nSCOPE=${unit}\nSCOPE_JOB=${JOB}\nLEADER=${child.pid}\n`);
    const ended = Promise.withResolvers<string>();
    const asked: string[] = [];
    const manager = {
      placeOf: () => ({ unit, subgroup: "", cgroup: "" }),
      machineScopes: () => Promise.resolve([]),
      isJobPending: () => {
        asked.push("pending");
        return Promise.reject(new ErrnoError("ENOTCONN", "no connection"));
      },
      jobResult: (job: string) => {
        asked.push(job);
        return ended.promise;
      },
    } as unknown as ServiceManager;
    const log = { debug() {}, info() {}, error() {}, warning() {} } as unknown as Log;
    const events = { machineNew() {}, machineRemoved() {}, machineVanished() {}, leaderExited() {} };
    const registry = new Registry(new MachineFiles(directory), manager, log, events);
    registry.restore();
    expect(registry.get("m").state).toBe("opening");
    await waitFor(() => expect(asked).toEqual(["pending", JOB]), "the wait for the job");
    ended.resolve("done");
    await waitFor(() => expect(registry.get("m").state).toBe("running"), "the end of the job");
    expect(readFileSync(file, "utf8")).not.toContain("SCOPE_JOB");
    registry.forget(registry.get("m"), "unregistered");
  } finally {
    child.kill("SIGKILL");
    await child.exited;
    rmSync(directory, { recursive: true });
  }
});
