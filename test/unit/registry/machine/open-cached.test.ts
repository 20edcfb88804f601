// Files of machines that are opened without waiting: a machine's mounts decide which.
import { expect, test } from "bun:test";
import { openPath, statFd } from "../../../../src/kernel/file/fd.ts";
import { PidRef } from "../../../../src/kernel/process/pidref.ts";
import { DAEMON_TABLE_LIMIT_BYTES, openPathCached } from "../../../../src/registry/machine/open-cached.ts";
import { expectNothingLeft, LEAK_ROUNDS, openDescriptors } from "../../../lib/descriptors.ts";
import { GUARD_MS } from "../../../lib/wait-for.ts";

const isRoot = process.geteuid?.() === 0;

/** Makes as many mounts with long paths as a table of twice the daemon's limit has. */
const SCRIPT = `import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
os.chdir("/run")
place = "/run"
for _ in range(14):
    name = "x" * 250
    os.mkdir(name)
    os.chdir(name)
    place += "/" + name
for _ in range(2 * ${DAEMON_TABLE_LIMIT_BYTES} // len(place)):
    if libc.mount(b"inside", b".", b"tmpfs", 0, None) != 0: sys.exit(os.strerror(ctypes.get_errno()))
open("/run/file", "w").close()
print("ready", flush=True)
sys.stdin.read()`;

test.skipIf(!isRoot)(
  `a daemon reads no table of mounts of any length${isRoot ? "" : " (left out: needs root)"}`,
  async () => {
    const command = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs inside /run && exec python3 -c "$0"', SCRIPT];
    const machine = Bun.spawn(command, { stdio: ["pipe", "pipe", "inherit"] });
    try {
      expect(Buffer.from((await machine.stdout.getReader().read()).value ?? []).toString()).toContain("ready");
      using leader = PidRef.of(machine.pid);
      using root = openPath(`/proc/${machine.pid}/root`, "path");
      const place = { leader, isHost: false };
      using known = openPathCached(place, root, "/run/file");
      expect(known === null ? null : statFd(known).kind).toBe("regular");
      const before = openDescriptors();
      for (let round = 0; round < LEAK_ROUNDS; round++) {
        expect(openPathCached(place, root, "/run/file", DAEMON_TABLE_LIMIT_BYTES)).toBeNull();
      }
      expectNothingLeft(before);
    } finally {
      machine.kill("SIGKILL");
      await machine.exited;
    }
  },
  GUARD_MS,
);
