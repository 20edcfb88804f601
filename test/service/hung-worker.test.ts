// Transfers whose worker hangs in a file system, where no signal but SIGKILL reaches it, or not even that.
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TransferResult } from "../../src/base/vocabulary/transfer.ts";
import { Transfer } from "../../src/importd/transfer.ts";
import { isRoot, needsRoot } from "../lib/daemon.ts";
import { HungFileSystem } from "../lib/hung-file-system.ts";
import { havePrograms } from "../lib/programs.ts";
import { mountSilent } from "../lib/silent-file-system.ts";
import { GUARD_MS, waitFor } from "../lib/wait-for.ts";

setDefaultTimeout(GUARD_MS);
const canRun = isRoot && havePrograms("workers that hang", "python3");
const PLAN = { type: "import-raw", class: "machine", local: "x", remote: "", verify: "", force: false } as const;
const MORE = {
  readOnly: false,
  keepDownload: false,
  format: "",
  imageRoot: "",
  base: "",
  credentials: "",
  shownLogin: "",
} as const;
/** Handles SIGTERM in JavaScript, which does not run while the worker waits. */
const HEARS = "import signal, sys; signal.signal(15, lambda *_: sys.exit(4)); open(sys.argv[1]).read()";

function start(path: string) {
  const transfer = new Transfer(1, { ...PLAN, ...MORE });
  const lines: string[] = [];
  const ended = Promise.withResolvers<TransferResult>();
  transfer.follow({
    log: (_transfer, { text }) => lines.push(text),
    ended: (_transfer, result) => ended.resolve(result),
  });
  transfer.start({ program: "any", args: ["-c", HEARS, path] }, {}, { executable: "/usr/bin/python3" });
  return { transfer, lines, ended: ended.promise };
}

describe.skipIf(!canRun)(`a worker that hangs${needsRoot}`, () => {
  test("is killed when it does not react to SIGTERM", async () => {
    const directory = mkdtempSync(join(tmpdir(), "machined-hung-"));
    using system = await mountSilent(join(directory, "silent"), "read");
    const { transfer, lines, ended } = start(join(system.path, "image"));
    await system.asked;
    transfer.cancel();
    expect(await ended).toBe("canceled");
    expect(lines).toEqual([]);
    system[Symbol.dispose]();
    rmSync(directory, { recursive: true });
  });

  test.each(["cancel", "stop"] as const)("is not waited for where SIGKILL does not end it (%s)", async (how) => {
    using files = new HungFileSystem();
    const { transfer, lines, ended } = start(join(files.path, "x"));
    await waitFor(() => expect(files.questions).toBeGreaterThan(0), "the worker to ask");
    if (how === "cancel") transfer.cancel();
    else await transfer.stop(1);
    expect(await ended).toBe("canceled");
    expect(lines.join("\n")).toContain("was killed and does not end: a file system does not answer.");
  });
});
