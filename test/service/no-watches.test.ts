// Daemons whose connections cannot be watched for a time: epoll_ctl(2) fails because another program has reached
// fs.epoll.max_user_watches, or for lack of memory. strace(1) makes the calls fail.
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connectVarlink } from "../../src/ipc/varlink/connect.ts";
import { isRoot, manager, TestDaemon } from "../lib/daemon.ts";
import { havePrograms } from "../lib/programs.ts";
import { GUARD_MS, waitFor } from "../lib/wait-for.ts";

setDefaultTimeout(GUARD_MS);

const can = isRoot && havePrograms("connections that cannot be watched", "strace");
const reason = can ? "" : " (left out: needs root and strace)";
const MAIN = join(import.meta.dir, "../../src/main.ts");
/** More connections than a user may have at once. */
const MANY = 600;

/** Makes all epoll_ctl(2) of a process fail until it is disposed of. */
async function withoutWatches(pid: number, errno: string): Promise<AsyncDisposable> {
  const inject = `inject=epoll_ctl:error=${errno}`;
  const words = ["strace", "-f", "-o", "/dev/null", "-p", String(pid), "-e", "trace=epoll_ctl", "-e", inject];
  const child = Bun.spawn(words, { stdio: ["ignore", "ignore", "pipe"] });
  const isTraced = (thread: string) =>
    /^TracerPid:\s+[1-9]/m.test(readFileSync(`/proc/${pid}/task/${thread}/status`, "utf8"));
  await waitFor(() => {
    if (!readdirSync(`/proc/${pid}/task`).every(isTraced)) throw new Error("not attached");
  }, "strace");
  return {
    async [Symbol.asyncDispose]() {
      child.kill("SIGINT");
      await child.exited;
    },
  };
}

/** Calls a method on a new connection; returns the error's text, or null. */
async function failureOf(path: string): Promise<string | null> {
  try {
    const client = await connectVarlink(path);
    try {
      await client.call("org.varlink.service.GetInfo", {});
      return null;
    } finally {
      client.close();
    }
  } catch (error) {
    return (error as Error).message;
  }
}

describe.skipIf(!can)(`without watches${reason}`, () => {
  test.each(["ENOSPC", "ENOMEM"])(
    "systemd-machined closes connections, says so, and serves later ones (%s)",
    async (errno) => {
      await using daemon = await TestDaemon.start();
      const path = join(daemon.runtime, "machine/io.systemd.Machine");
      expect(await failureOf(path)).toBe(null);
      {
        await using _ = await withoutWatches(daemon.pid, errno);
        for (let i = 0; i < MANY; i++) expect(await failureOf(path)).not.toBe(null);
        await expect(daemon.connect().then((client) => manager(client, "ListMachines"))).rejects.toThrow();
      }
      expect(await failureOf(path)).toBe(null);
      (await daemon.connect()).close();
      expect(daemon.log.match(/the start of a Varlink connection: epoll_ctl: /g)?.length).toBeLessThan(MANY / 10);
      expect(daemon.log).toContain("Failed in the start of a Varlink connection: epoll_ctl: ");
      expect(daemon.log).toContain("A connection to the private bus cannot be served: epoll_ctl: ");
      expect(daemon.log).not.toContain("Bug in");
    },
  );

  test("machined-exec closes connections, says so, and serves later ones", async () => {
    const runtime = mkdtempSync(join(tmpdir(), "no-watches-"));
    const env = { PATH: process.env["PATH"] ?? "", MACHINED_RUNTIME_DIRECTORY: runtime };
    const service = Bun.spawn([process.execPath, MAIN, "machined-exec"], { env, stdio: ["ignore", "ignore", "pipe"] });
    try {
      const path = join(runtime, "machine/io.machined.Exec");
      await waitFor(async () => {
        const failure = await failureOf(path);
        if (failure !== null) throw new Error(failure);
      }, "machined-exec");
      {
        await using _ = await withoutWatches(service.pid, "ENOSPC");
        for (let i = 0; i < MANY; i++) expect(await failureOf(path)).not.toBe(null);
      }
      expect(await failureOf(path)).toBe(null);
    } finally {
      service.kill();
    }
    expect(await service.exited).toBe(0);
    expect(await service.stderr.text()).toContain("Failed in the start of a Varlink connection: epoll_ctl: ");
    rmSync(runtime, { recursive: true });
  });
});
