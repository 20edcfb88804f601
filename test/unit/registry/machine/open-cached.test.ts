// Files of machines that are opened without waiting: a machine's mounts decide which.
import { expect, test } from "bun:test";
import { join } from "node:path";
import { openPath, statFd } from "../../../../src/kernel/file/fd.ts";
import { PidRef } from "../../../../src/kernel/process/pidref.ts";
import { DAEMON_TABLE_LIMIT_BYTES, openPathCached } from "../../../../src/registry/machine/open-cached.ts";
import { expectNothingLeft, LEAK_ROUNDS, openDescriptors } from "../../../lib/descriptors.ts";
import { GUARD_MS } from "../../../lib/wait-for.ts";

const isRoot = process.geteuid?.() === 0;

/** A file on the last mount of the machine. */
const FILE = `/run${`/${"x".repeat(250)}`.repeat(14)}/file`;
const TABLE_BYTES = 12 << 20;

/** Makes as many mounts with long paths as a table of TABLE_BYTES has. */
const SCRIPT = `import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
os.chdir("/run")
place = "/run"
for _ in range(14):
    name = "x" * 250
    os.mkdir(name)
    os.chdir(name)
    place += "/" + name
for _ in range(${TABLE_BYTES} // len(place)):
    if libc.mount(b"inside", b".", b"tmpfs", 0, None) != 0: sys.exit(os.strerror(ctypes.get_errno()))
open("${FILE}", "w").close()
print("ready", flush=True)
sys.stdin.read()`;

/** Returns how much more memory a process has had when it has opened the file without a limit. */
function memoryKiB(pid: number): number {
  const source = join(import.meta.dir, "../../../../src");
  const script = `
    const { openPathCached } = await import("${source}/registry/machine/open-cached.ts");
    const { openPath } = await import("${source}/kernel/file/fd.ts");
    const { PidRef } = await import("${source}/kernel/process/pidref.ts");
    const most = () => Number(/VmHWM:\\s+(\\d+)/.exec(require("node:fs").readFileSync("/proc/self/status", "utf8"))[1]);
    const before = most();
    const place = { leader: PidRef.of(${pid}), isHost: false };
    if (openPathCached(place, openPath("/proc/${pid}/root", "path"), "${FILE}") === null) throw new Error("not found");
    console.log(most() - before);`;
  const { stdout, stderr } = Bun.spawnSync([process.execPath, "-e", script]);
  expect(stderr.toString()).toBe("");
  return Number(stdout);
}

test.skipIf(!isRoot)(
  `a daemon reads no table of mounts of any length, and a command keeps only a part of it${isRoot ? "" : " (left out: needs root)"}`,
  async () => {
    const command = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs inside /run && exec python3 -c "$0"', SCRIPT];
    const machine = Bun.spawn(command, { stdio: ["pipe", "pipe", "inherit"] });
    try {
      expect(Buffer.from((await machine.stdout.getReader().read()).value ?? []).toString()).toContain("ready");
      using leader = PidRef.of(machine.pid);
      using root = openPath(`/proc/${machine.pid}/root`, "path");
      const place = { leader, isHost: false };
      using known = openPathCached(place, root, FILE);
      expect(known === null ? null : statFd(known).kind).toBe("regular");
      const before = openDescriptors();
      for (let round = 0; round < LEAK_ROUNDS; round++) {
        expect(openPathCached(place, root, FILE, DAEMON_TABLE_LIMIT_BYTES)).toBeNull();
      }
      expectNothingLeft(before);
      expect(memoryKiB(machine.pid)).toBeLessThan((2 * TABLE_BYTES) >> 10);
    } finally {
      machine.kill("SIGKILL");
      await machine.exited;
    }
  },
  GUARD_MS,
);
