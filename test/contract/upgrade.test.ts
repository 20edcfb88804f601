// The executable is replaced while daemons run: their workers are still started from the daemon's own build.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { copyFileSync, linkSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { build } from "../../install/build.ts";
import { isRoot, manager, needsRoot, register, TestDaemon } from "../lib/daemon.ts";
import { waitFor } from "../lib/wait-for.ts";
import { processFile, signalIfThere, workersOf } from "../lib/workers.ts";
import { TestMachine } from "../service/open-support.ts";

const BUILD_TIMEOUT_MS = 120_000;
/** Stands for the next build: it fails as every program. */
const OTHER_PROGRAM = "/bin/false";

describe.skipIf(!isRoot)(`an upgrade under a running daemon${needsRoot}`, () => {
  const scratch = mkdtempSync(join(tmpdir(), "machined-upgrade-test-"));
  let built = "";
  beforeAll(() => {
    built = build(join(scratch, "built"));
  }, BUILD_TIMEOUT_MS);
  afterAll(() => rmSync(scratch, { recursive: true, force: true }));

  const ways: Record<string, (path: string) => void> = {
    "rm and a new file (install, old versions of dpkg)": (path) => {
      rmSync(path);
      copyFileSync(OTHER_PROGRAM, path);
    },
    "mv of the new file over the old one (dpkg, machined install)": (path) => {
      copyFileSync(OTHER_PROGRAM, `${path}.new`);
      renameSync(`${path}.new`, path);
    },
    "rm without a new file": (path) => rmSync(path),
  };

  test.each(Object.keys(ways))("by %s does not change the workers", async (way) => {
    const path = join(scratch, "machined");
    rmSync(path, { force: true });
    linkSync(built, path);
    await using machine = await TestMachine.start(["--mount"], null);
    await using daemon = TestDaemon.prepare({}, [], [path]);
    await daemon.run();
    const bus = await daemon.bus();
    await register(bus, "m", machine.pid);
    writeFileSync(join(scratch, "file"), "content");
    const copy = (target: string) => manager(bus, "CopyToMachine", "sss", "m", join(scratch, "file"), target);

    // One worker runs during the upgrade.
    const timer = setInterval(() => {
      for (const pid of workersOf(daemon.pid)) signalIfThere(pid, "SIGSTOP");
    }, 1);
    const running = copy("/run/before");
    await waitFor(() => {
      const stopped = workersOf(daemon.pid).filter((pid) => /^State:\tT/m.test(processFile(pid, "status")));
      expect(stopped).not.toHaveLength(0);
    }, "a stopped worker");
    clearInterval(timer);
    ways[way]?.(path);
    // All of them: the daemon may have started another one, which was stopped as well.
    for (const pid of workersOf(daemon.pid)) signalIfThere(pid, "SIGCONT");
    await running;

    await copy("/run/after");
    for (const name of ["before", "after"]) {
      expect(readFileSync(`/proc/${machine.pid}/root/run/${name}`, "utf8")).toBe("content");
    }
    expect(daemon.log).not.toContain("Failed");
  });

  test("workers have a name in process lists", async () => {
    await using machine = await TestMachine.start(["--mount"], null);
    await using daemon = TestDaemon.prepare({}, [], [built]);
    await daemon.run();
    const bus = await daemon.bus();
    await register(bus, "m", machine.pid);
    const seen = new Set<string>();
    const timer = setInterval(() => {
      for (const pid of workersOf(daemon.pid)) seen.add(processFile(pid, "comm").trim());
    }, 1);
    await waitFor(async () => {
      await manager(bus, "CopyToMachineWithFlags", "ssst", "m", join(scratch, "file"), "/run/file", 1n);
      expect(seen).toContain("machined-worker");
    }, "the worker's name");
    clearInterval(timer);
  });
});
