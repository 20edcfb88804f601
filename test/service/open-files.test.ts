// Copies and bind mounts: which requests are refused with which errors, and the owners of files that are copied into a
// machine with its own users.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import {
  chmodSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { BusClient } from "../../src/ipc/bus/client.ts";
import type { VarlinkClient } from "../../src/ipc/varlink/client.ts";
import { errorOf, isRoot, manager, needsRoot, object, register, TestDaemon } from "../lib/daemon.ts";
import { GUARD_MS, waitFor } from "../lib/wait-for.ts";
import { signalIfThere, workersOf } from "../lib/workers.ts";
import { TestMachine } from "./open-support.ts";

const SHIFT = 700_000;
const OBJECT = "/org/freedesktop/machine1/machine";

async function failure(call: Promise<unknown>): Promise<string> {
  try {
    await call;
  } catch (error) {
    const { id, parameters } = error as { id: string; parameters: Record<string, unknown> };
    return `${id.replace("org.varlink.service.", "")} ${JSON.stringify(parameters)}`;
  }
  throw new Error("the call succeeded");
}

describe.skipIf(!isRoot)(`files of machines${needsRoot}`, () => {
  let daemon: TestDaemon;
  let bus: BusClient;
  let varlink: VarlinkClient;
  let plain: TestMachine;
  let shifted: TestMachine;
  const here = mkdtempSync(join(tmpdir(), "machined-files-"));
  const ends: AsyncDisposable[] = [];

  const inside = (machine: TestMachine, path: string) => `/proc/${machine.pid}/root${path}`;
  const copyTo = (name: string, from: string, to: string) => manager(bus, "CopyToMachine", "sss", name, from, to);
  const copyFrom = (name: string, from: string, to: string) => manager(bus, "CopyFromMachine", "sss", name, from, to);
  const withFlags = (flags: bigint, from: string, to: string) =>
    manager(bus, "CopyToMachineWithFlags", "ssst", "plain", from, to, flags);
  const bind = (name: string, from: string, to: string, options: { readOnly?: true; mkdir?: true } = {}) =>
    manager(bus, "BindMountMachine", "sssbb", name, from, to, options.readOnly === true, options.mkdir === true);

  beforeAll(async () => {
    daemon = await TestDaemon.start();
    bus = await daemon.bus();
    varlink = await daemon.varlink();
    plain = await TestMachine.start(["--mount"], null);
    shifted = await TestMachine.start(["--mount"], null);
    ends.push(plain, shifted);
    await register(bus, "plain", plain.pid);
    await register(bus, "shared", await daemon.leader());
    await register(bus, "vm", await daemon.leader(), { class: "vm" });
    await register(bus, "shifted", await shiftedLeader());
    writeFileSync(join(here, "file"), "hello\n");
  }, GUARD_MS);
  afterAll(async () => {
    await daemon[Symbol.asyncDispose]();
    for (const end of ends) await end[Symbol.asyncDispose]();
    rmSync(here, { recursive: true, force: true });
  });

  /** A process in the mount namespace of `shifted`, with a user namespace. */
  async function shiftedLeader(): Promise<number> {
    const command = ["nsenter", "-t", String(shifted.pid), "-m", "unshare", "--user", "--mount", "sleep", "1000"];
    const child = Bun.spawn(command, { stdio: ["ignore", "ignore", "ignore"] });
    ends.push({
      [Symbol.asyncDispose]: async () => {
        child.kill("SIGKILL");
        await child.exited;
      },
    });
    await waitFor(() => {
      if (readFileSync(`/proc/${child.pid}/comm`, "utf8") !== "sleep\n") throw new Error("not yet");
    }, "the leader");
    for (const kind of ["uid_map", "gid_map"]) writeFileSync(`/proc/${child.pid}/${kind}`, `0 ${SHIFT} 65536\n`);
    return child.pid;
  }

  test("M123 an existing file is kept, and with flag 1 replaced", async () => {
    await copyTo("plain", join(here, "file"), "/run/file");
    expect(readFileSync(inside(plain, "/run/file"), "utf8")).toBe("hello\n");
    writeFileSync(join(here, "newer"), "newer\n");
    expect(await errorOf(copyTo("plain", join(here, "newer"), "/run/file"))).toBe("FileExists: File exists");
    expect(await errorOf(withFlags(0n, join(here, "newer"), "/run/file"))).toBe("FileExists: File exists");
    await withFlags(1n, join(here, "newer"), "/run/file");
    expect(readFileSync(inside(plain, "/run/file"), "utf8")).toBe("newer\n");
    const own = [`${OBJECT}/plain`, "org.freedesktop.machine1.Machine"] as const;
    await object(bus, ...own, "CopyFrom", "ss", "/run/file", join(here, "back"));
    await object(bus, ...own, "CopyFromWithFlags", "sst", "/run/file", join(here, "back"), 1n);
    await object(bus, ...own, "CopyToWithFlags", "sst", join(here, "back"), "/run/file", 1n);
    expect(await errorOf(object(bus, ...own, "CopyTo", "ss", join(here, "back"), "/run/file"))).toContain("FileExists");
  });

  test("without a destination a copy goes to the path of its source", async () => {
    writeFileSync(inside(plain, "/run/only-inside"), "x");
    expect(await errorOf(copyTo("plain", "/run/only-inside", ""))).toBe("FileNotFound: No such file or directory");
  });

  test("M124 other flags are refused", async () => {
    for (const flags of [2n, 3n, 1n << 40n]) {
      expect(await errorOf(withFlags(flags, "/etc/hostname", "/run/x"))).toBe("InvalidArgs: Invalid argument");
    }
  });

  test("M125 a copy of the root directory is refused, because it has no name", async () => {
    const text = "BadAddress: Failed to extract file name of '/' path: Cannot assign requested address";
    expect(await errorOf(copyTo("plain", "/", "/run/x"))).toBe(text);
    expect(await errorOf(copyFrom("plain", "/run", "/"))).toBe(text);
  });

  test("M126 a missing source or directory is FileNotFound, on either side", async () => {
    expect(await errorOf(copyTo("plain", join(here, "none"), "/run/x"))).toBe(
      "FileNotFound: No such file or directory",
    );
    expect(await errorOf(copyFrom("plain", "/run/none", join(here, "x")))).toBe(
      "FileNotFound: No such file or directory",
    );
    expect(await errorOf(copyFrom("plain", "/run", "/nonexistent/x"))).toBe(
      "FileNotFound: Failed to open host directory /nonexistent/x: No such file or directory",
    );
    expect(await errorOf(copyTo("plain", join(here, "file"), "/nonexistent/x"))).toBe(
      "FileNotFound: No such file or directory",
    );
  });

  test("M127 M128 paths that are relative or not normalized are refused", async () => {
    // Whether other paths are normalized depends on the host: see host-version.test.ts.
    for (const path of ["etc/hostname", ""]) {
      expect(await errorOf(copyTo("plain", path, "/run/x"))).toBe(
        "InvalidArgs: Source path must be absolute and normalized.",
      );
    }
    expect(await errorOf(copyTo("plain", "/etc/hostname", "run/x"))).toBe(
      "InvalidArgs: Destination path must be absolute and normalized.",
    );
    expect(await failure(varlink.call("io.systemd.Machine.CopyTo", { name: "plain", source: "rel" }))).toBe(
      'InvalidParameter {"parameter":"source"}',
    );
  });

  test("M129 files copied to a machine with a user namespace belong to its root, and files copied from it to the host's root", async () => {
    const tree = join(here, "tree");
    mkdirSync(join(tree, "sub"), { recursive: true });
    writeFileSync(join(tree, "sub/file"), "x");
    // Whatever the umask is.
    chmodSync(join(tree, "sub/file"), 0o640);
    await copyTo("shifted", tree, "/run/tree");
    for (const path of ["/run/tree", "/run/tree/sub", "/run/tree/sub/file"]) {
      const { uid, gid } = lstatSync(inside(shifted, path));
      expect([uid, gid]).toEqual([SHIFT, SHIFT]);
    }
    await copyFrom("shifted", "/run/tree", join(here, "tree-back"));
    const { uid, gid, mode } = lstatSync(join(here, "tree-back/sub/file"));
    expect([uid, gid, mode & 0o7777]).toEqual([0, 0, 0o640]);
  });

  test("M130 copies to and from the host or a VM are refused", async () => {
    for (const name of [".host", "vm"]) {
      const text = "NotSupported: Copying files is only supported on container machines.";
      expect(await errorOf(copyTo(name, "/etc/hostname", "/run/x"))).toBe(text);
      expect(await errorOf(copyFrom(name, "/etc/hostname", "/run/x"))).toBe(text);
      expect(await failure(varlink.call("io.systemd.Machine.CopyTo", { name, source: "/etc/hostname" }))).toBe(
        "io.systemd.Machine.NotSupported {}",
      );
    }
  });

  /** Stops the workers of the daemon that run; returns their number. */
  function stopWorkers(): number {
    return workersOf(daemon.pid).filter((pid) => signalIfThere(pid, "SIGSTOP")).length;
  }

  test(
    "M131 64 copies run at a time, and another one is refused; they end with their machine and leave nothing incomplete",
    async () => {
      const leader = await daemon.leader();
      await register(bus, "slow", leader);
      const target = join(here, "targets");
      mkdirSync(target);
      const timer = setInterval(stopWorkers, 1);
      // A copy that finished before its worker was stopped is repeated.
      const copy = async (path: string): Promise<string> => {
        for (;;) {
          const error = await errorOf(copyFrom("slow", join(here, "file"), path)).catch(() => null);
          if (error !== null) return error;
          rmSync(path);
        }
      };
      const copies = Array.from({ length: 64 }, (_, index) => copy(join(target, String(index))));
      await waitFor(() => expect(stopWorkers()).toBe(64), "64 workers");
      clearInterval(timer);
      const text = "LimitsExceeded: Too many ongoing copies.";
      expect(await errorOf(copyFrom("plain", join(here, "file"), join(target, "65th")))).toBe(text);
      expect(await errorOf(copyTo("nobody-knows", "", ""))).toBe(text);
      expect(await failure(varlink.call("io.systemd.Machine.CopyTo", { name: "plain", source: "/etc/hostname" }))).toBe(
        "io.systemd.Machine.TooManyOperations {}",
      );
      process.kill(leader, "SIGKILL");
      expect(new Set(await Promise.all(copies))).toEqual(new Set(["System.Error.ESHUTDOWN: Child died abnormally."]));
      await waitFor(() => expect(stopWorkers()).toBe(0), "the end of the workers");
      // A worker that was stopped between the end of its copy and its own has left the whole file.
      const left = readdirSync(target).map((name) => readFileSync(join(target, name), "utf8"));
      expect(left.filter((text) => text !== "hello\n")).toEqual([]);
      expect(left.length).toBeLessThan(64);
      await copyTo("plain", join(here, "file"), "/run/afterwards");
    },
    GUARD_MS,
  );

  test("M117 bind mounts into the host or a VM are refused", async () => {
    for (const name of [".host", "vm"]) {
      expect(await errorOf(bind(name, "/etc", ""))).toBe(
        "NotSupported: Bind mounting is only supported on container machines.",
      );
    }
  });

  test("M118 bind mounts with paths that are relative or not normalized are refused", async () => {
    for (const path of ["etc", "/etc/../x", "/etc//"]) {
      expect(await errorOf(bind("plain", path, ""))).toBe("InvalidArgs: Source path must be absolute and normalized.");
    }
    expect(await errorOf(bind("plain", "/etc", "x"))).toBe(
      "InvalidArgs: Destination path must be absolute and normalized.",
    );
  });

  test("M119 bind mounts into a machine that shares the host's mount namespace are refused", async () => {
    expect(await errorOf(bind("shared", "/etc", ""))).toBe(
      "InvalidArgs: Failed to mount /etc on /etc in machine's namespace: Invalid argument",
    );
  });

  test("M120 M122 a bind makes missing directories, uses the path of the source without a destination, and may be read-only", async () => {
    await bind("plain", here, "/run/bound", { mkdir: true });
    expect(readdirSync(inside(plain, "/run/bound"))).toContain("file");
    writeFileSync(inside(plain, "/run/bound/from-inside"), "x");
    expect(readdirSync(here)).toContain("from-inside");
    await bind("plain", here, "/run/deep/er/read-only", { mkdir: true, readOnly: true });
    expect(() => writeFileSync(inside(plain, "/run/deep/er/read-only/x"), "x")).toThrow("EROFS");
    expect(lstatSync(inside(plain, "/run/deep")).mode & 0o7777).toBe(0o755);
    await bind("plain", join(here, "file"), "/run/bound-file", { mkdir: true });
    expect(readFileSync(inside(plain, "/run/bound-file"), "utf8")).toBe("hello\n");
    await bind("plain", "/etc", "");
    expect(readFileSync(`/proc/${plain.pid}/mountinfo`, "utf8")).toMatch(/ \/etc rw/);
    expect(await errorOf(bind("plain", here, "/run/not-there"))).toBe(
      `FileNotFound: Failed to mount ${here} on /run/not-there in machine's namespace: No such file or directory`,
    );
    expect(await errorOf(bind("plain", "/nonexistent", "/run"))).toBe(
      "FileNotFound: Failed to mount /nonexistent on /run in machine's namespace: No such file or directory",
    );
    // Mounts in the machine do not appear on the host.
    expect(readFileSync("/proc/self/mountinfo", "utf8")).not.toContain("/run/bound");
  });

  test("M121 a bind mount into a machine with a user namespace is refused where the file system has no idmapped mounts", async () => {
    const text = "NotSupported: Can't bind mount on container with user namespacing applied.";
    expect(await errorOf(bind("shifted", "/proc/sys", "/run/x", { mkdir: true }))).toBe(text);
    // A read-only mount has to stay read-only, which cannot be guaranteed here.
    expect(await errorOf(bind("shifted", here, "/run/x", { mkdir: true, readOnly: true }))).toBe(text);
    expect(await failure(varlink.call("io.systemd.Machine.BindMount", { name: "shifted", source: "/proc/sys" }))).toBe(
      "io.systemd.Machine.NotSupported {}",
    );
  });
});
