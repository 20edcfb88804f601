// The program that enters machines (src/exec/enter), run with hostile machines.
import { beforeAll, describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { buildEnterProgram } from "../../../install/build.ts";
import { type EnterRequest, enterCommand } from "../../../src/exec/enter.ts";
import { PidRef } from "../../../src/kernel/process/pidref.ts";
import { isHostRootInside } from "../../../src/registry/machine/uid-map.ts";
import { havePrograms } from "../../lib/programs.ts";
import { GUARD_MS } from "../../lib/wait-for.ts";
import { isRoot, scratchDirectory, startNamespaced, until } from "../support.ts";

const AT_ONCE = 24;
const SIGNALS = 300;
const PIDFD = 3;
const DESCRIPTORS = { pidfd: PIDFD, held: null };
const directory = scratchDirectory();
const program = join(directory, "enter");
const leaderProgram = join(directory, "leader");
const canRun = isRoot && havePrograms("entering machines", "gcc", "unshare", "perl", "prlimit", "setpriv");

interface Ended {
  readonly out: string;
  readonly err: string;
  readonly status: number;
}

function requestFor(leader: PidRef, change: Partial<EnterRequest>): EnterRequest {
  return {
    leader,
    machine: "m",
    ownerUid: 0,
    user: "",
    directory: "/",
    environment: [],
    command: ["true"],
    terminal: "none",
    timeoutMs: 0,
    detach: false,
    verbose: true,
    terminalSize: null,
    callerUid: 0,
    ...change,
  };
}

/**
 * Runs a command in the machine of the leader; without control groups, which tests cannot create on every host, but
 * with `mounts` in their place. `by` are the words of a program that starts it.
 */
async function enter(
  leader: PidRef,
  change: Partial<EnterRequest> = {},
  mounts: readonly string[] = [],
  by: readonly string[] = [],
): Promise<Ended> {
  const { args, environment } = enterCommand(requestFor(leader, change), DESCRIPTORS);
  const words = [...mounts, ...args.slice(1).filter((word) => !word.startsWith("mount="))];
  if (leader.pidfd === null) throw new Error("this kernel has no pidfds");
  const env = Object.fromEntries(
    environment.map((one) => [one.slice(0, one.indexOf("=", 1)), one.slice(one.indexOf("=", 1) + 1)]),
  );
  const command = [...by, program, ...words];
  const child = Bun.spawn(command, { stdio: ["ignore", "pipe", "pipe", leader.pidfd.number], env });
  const [out, err, status] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  return { out: out.trim(), err: err.trim(), status };
}

/** A leader that runs leader.c and shares all namespaces except those of processes and mounts. */
function startLeader(mode: string, file: string, root = ""): Bun.Subprocess {
  const command = root === "" ? [leaderProgram, mode, file] : ["chroot", root, "/leader", mode, file];
  return Bun.spawn(["unshare", "--pid", "--mount", "--fork", "--kill-child", ...command], {
    stdio: ["ignore", "inherit", "inherit"],
  });
}

function childOf(pid: number): Promise<number> {
  const find = () => Number(readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim());
  return until(() => find() > 0 && readFileSync(`/proc/${find()}/comm`, "utf8") === "leader\n" && find(), "the leader");
}

async function withLeader(
  mode: string,
  root: string,
  body: (leader: PidRef, file: string) => Promise<void>,
): Promise<void> {
  const file = root === "" ? join(directory, `${mode}.txt`) : "/found";
  rmSync(file, { force: true });
  const outer = startLeader(mode, file, root);
  try {
    using leader = PidRef.of(await childOf(outer.pid));
    await body(leader, root === "" ? file : join(root, "found"));
  } finally {
    outer.kill(9);
    await outer.exited;
  }
}

describe.skipIf(!canRun)(
  canRun ? "entering a machine" : "entering a machine (left out: needs root, gcc, unshare and perl)",
  () => {
    beforeAll(() => {
      expect(buildEnterProgram(program)).toBe(true);
      const source = join(import.meta.dir, "leader.c");
      const built = Bun.spawnSync(["gcc", "-static", "-O1", "-o", leaderProgram, source]);
      expect(built.stderr.toString()).toBe("");
    }, GUARD_MS);

    test(
      "a command has the leader's system call filters, and the leader loses no signal while they are copied",
      () =>
        withLeader("filtered", "", async (leader, file) => {
          await until(() => existsSync(file) && readFileSync(file, "utf8") === "0\n", "the leader to be ready");
          const { out, err } = await enter(leader, {
            command: ["sh", "-c", "grep Seccomp: /proc/self/status; perl -e 'print syscall(168, 0), \" $!\"'"],
          });
          expect([out, err]).toEqual(["Seccomp:\t2\n-1 Numerical argument out of domain", ""]);
          let sent = 0;
          const runs = async () => {
            while (sent < SIGNALS) expect((await enter(leader)).status).toBe(0);
          };
          const running = runs();
          const sender = Bun.spawn([
            "perl",
            "-e",
            `for (1..${SIGNALS}) { kill 34, ${leader.pid}; select undef, undef, undef, 0.003 }`,
          ]);
          await sender.exited;
          sent = SIGNALS;
          await running;
          await until(
            () => Number(readFileSync(file, "utf8")) === SIGNALS,
            `${SIGNALS} signals, not ${readFileSync(file, "utf8")}`,
          );
        }),
      GUARD_MS,
    );

    test(
      "when the leader is traced, so that its filters cannot be copied, no command is started without them",
      () =>
        withLeader("filtered", "", async (leader, file) => {
          await until(() => existsSync(file) && readFileSync(file, "utf8") === "0\n", "the leader to be ready");
          const script = `$| = 1; syscall(101, 0x4206, ${leader.pid}, 0, 0) == 0 or die "$!"; print "traced\\n"; sleep 1000`;
          const tracer = Bun.spawn(["perl", "-e", script], { stdout: "pipe" });
          try {
            await tracer.stdout.getReader().read();
            const { err, status } = await enter(leader);
            expect(err).toContain(`its leader is traced by process ${tracer.pid}`);
            expect(status).toBe(125);
          } finally {
            tracer.kill(9);
            await tracer.exited;
          }
          expect((await enter(leader)).status).toBe(0);
        }),
      GUARD_MS,
    );

    const canInject = havePrograms("filters that cannot be read", "strace");
    test.skipIf(!canInject)(
      `no command is started without the filters or the label where they cannot be read now${canInject ? "" : " (left out: needs strace)"}`,
      () =>
        withLeader("filtered", "", async (leader, file) => {
          await until(() => existsSync(file) && readFileSync(file, "utf8") === "0\n", "the leader to be ready");
          const strace = ["strace", "-qq", "-o", "/dev/null", "-e"];
          const failing = (what: string) => enter(leader, {}, [], [...strace, `inject=${what}`]);
          expect(await failing("openat:error=ENOMEM:when=4")).toMatchObject({
            err: "Cannot read the security label of machine 'm': Cannot allocate memory",
            status: 125,
          });
          // The second reading of the leader's status, which the leader can make long by its groups meanwhile.
          expect(await failing("openat:error=EFBIG:when=6")).toMatchObject({
            err: "Cannot read the status of the leader of machine 'm': File too large",
            status: 125,
          });
          for (const call of [3, 4, 5]) {
            const { err, status } = await failing(`ptrace:error=ENOMEM:when=${call}`);
            expect([call, err, status]).toEqual([
              call,
              "Cannot take over the system call filters of machine 'm': Cannot allocate memory",
              125,
            ]);
          }
          // The error of a kernel that shows no filters, or not to this process.
          const { err, status } = await failing("ptrace:error=EACCES:when=3");
          expect([err, status]).toEqual([
            "The command runs without the system call filters of machine 'm': Permission denied",
            0,
          ]);
        }),
      GUARD_MS,
    );

    test(
      "commands that are started at the same time wait for each other, because a leader can have one tracer only",
      () =>
        withLeader("filtered", "", async (leader, file) => {
          await until(() => existsSync(file) && readFileSync(file, "utf8") === "0\n", "the leader to be ready");
          const results = await Promise.all(Array.from({ length: AT_ONCE }, () => enter(leader)));
          expect(results.map(({ status, err }) => `${status} ${err}`)).toEqual(Array(AT_ONCE).fill("0 "));
        }),
      GUARD_MS,
    );

    test(
      "processes that the machine can see never have an open file, a directory or a root of the host",
      () => {
        const root = join(directory, "root");
        mkdirSync(join(root, "proc"), { recursive: true });
        for (const [from, name] of [[leaderProgram, "leader"]] as const)
          writeFileSync(join(root, name), readFileSync(from), { mode: 0o755 });
        return withLeader("scan", root, async (leader, file) => {
          for (let i = 0; i < 200; i++) expect((await enter(leader, { command: ["/leader"] })).status).toBe(2);
          expect(readFileSync(file, "utf8")).toBe("");
        });
      },
      GUARD_MS,
    );

    test(
      "a leader that has ended is an error, also when its process number is known",
      async () => {
        const machine = await startNamespaced(["--pid", "--mount"]);
        using leader = PidRef.of(machine.pid);
        const { args } = enterCommand(requestFor(leader, {}), DESCRIPTORS);
        await machine[Symbol.asyncDispose]();
        await until(() => !existsSync(`/proc/${machine.pid}`), "the leader to be gone");
        const child = Bun.spawn([program, ...args.slice(1)], {
          stdio: ["ignore", "pipe", "pipe", leader.pidfd?.number ?? -1],
          env: {},
        });
        expect([await child.stderr.text(), await child.exited]).toEqual(["Machine 'm' has ended\n", 125]);
      },
      GUARD_MS,
    );

    test(
      "with one mapped id and forbidden supplementary groups, the command runs as the leader's user",
      async () => {
        const nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
        const mapped = ["unshare", "--user", "--map-user=1000", "--map-group=1000", "sleep", "1000"];
        const sleeper = Bun.spawn([...nobody, ...mapped], { stdio: ["ignore", "inherit", "inherit"] });
        try {
          await until(() => readFileSync(`/proc/${sleeper.pid}/comm`, "utf8") === "sleep\n", "the leader");
          using leader = PidRef.of(sleeper.pid);
          const { out, err, status } = await enter(leader, { command: ["id", "-u"] });
          expect([out, err, status]).toEqual(["1000", "", 0]);
          expect((await enter(leader, { user: "0" })).err).toContain("its user namespace maps other ids");
        } finally {
          sleeper.kill(9);
          await sleeper.exited;
        }
      },
      GUARD_MS,
    );

    test(
      "the owner of a machine without a user namespace cannot run commands as any user of its user database",
      async () => {
        await using machine = await startNamespaced(["--mount"]);
        using leader = PidRef.of(machine.pid);
        for (const user of ["", "root", "0", "daemon", "1"]) {
          expect(() => enterCommand(requestFor(leader, { user, ownerUid: 1000 }), DESCRIPTORS)).toThrow(
            "has no user namespace",
          );
        }
      },
      GUARD_MS,
    );

    test(
      "in a user namespace that maps ids to themselves, an owner's command cannot run as a user of this host",
      async () => {
        await using machine = await startNamespaced(["--user", "--mount"]);
        for (const map of ["uid_map", "gid_map"]) writeFileSync(`/proc/${machine.pid}/${map}`, "0 0 70000\n");
        using leader = PidRef.of(machine.pid);
        const run = (user: string) => () => enterCommand(requestFor(leader, { user, ownerUid: 1000 }), DESCRIPTORS);
        for (const user of ["", "0", "1", "daemon", "65535"])
          expect(run(user)).toThrow("of this host: choose another --uid=");
        expect(run("1000")).toThrow("would have group 1000 of this host");
        expect(run("69999")().args).toContain("uid=69999");
        expect(isHostRootInside(leader)).toBe(true);
      },
      GUARD_MS,
    );

    test(
      "a user's number is accepted only in decimal as the kernel writes it, and 4294967295 (no user) is refused",
      async () => {
        await using machine = await startNamespaced(["--mount"]);
        using leader = PidRef.of(machine.pid);
        for (const user of ["4294967295", "00", "0x0", "1e3", "-1", "18446744073709551616"]) {
          expect(() => enterCommand(requestFor(leader, { user }), DESCRIPTORS)).toThrow(`There is no user '${user}'`);
        }
        expect(enterCommand(requestFor(leader, { user: "4294967294" }), DESCRIPTORS).args).toContain("uid=4294967294");
      },
      GUARD_MS,
    );

    test(
      "a command does not get the caller's supplementary groups",
      async () => {
        await using machine = await startNamespaced(["--user", "--map-root-user", "--mount"]);
        using leader = PidRef.of(machine.pid);
        const { args } = enterCommand(requestFor(leader, { command: ["id", "-G"] }), DESCRIPTORS);
        const words = args.slice(1).filter((word) => !word.startsWith("mount=") && !word.startsWith("groups="));
        const child = Bun.spawn(["setpriv", "--groups=0,4,27", program, ...words], {
          stdio: ["ignore", "pipe", "inherit", leader.pidfd?.number ?? -1],
        });
        expect([await child.stdout.text(), await child.exited]).toEqual(["0\n", 0]);
      },
      GUARD_MS,
    );

    test(
      "a command is started on a host with as many hierarchies of control groups as OpenRC and others mount",
      async () => {
        await using machine = await startNamespaced(["--mount"]);
        using leader = PidRef.of(machine.pid);
        // 15 controllers, version 2, and names. The leader is in none of these.
        const mounts = Array.from({ length: 24 }, (_, index) => `mount=name=test${index}:/nonexistent`);
        expect(await enter(leader, {}, mounts)).toEqual({ out: "", err: "", status: 0 });
      },
      GUARD_MS,
    );

    test(
      "no command is started outside of the machine's control group where the path of that is too long",
      async () => {
        await using machine = await startNamespaced(["--mount"]);
        using leader = PidRef.of(machine.pid);
        const [line = ""] = readFileSync(`/proc/${machine.pid}/cgroup`, "utf8").split("\n");
        const mount = `mount=${line.split(":")[1]}:${"/long".repeat(1000)}`;
        const { err, status } = await enter(leader, {}, [mount]);
        expect([err, status]).toEqual([
          "Cannot put the command into the cgroup of machine 'm': File name too long",
          125,
        ]);
      },
      GUARD_MS,
    );

    test(
      "a command is started in a machine whose leader may have few open files, and has its limit",
      async () => {
        await using machine = await startNamespaced(["--mount"]);
        using leader = PidRef.of(machine.pid);
        Bun.spawnSync(["prlimit", "--pid", String(leader.pid), "--nofile=24:24"]);
        for (const detach of [false, true]) {
          const { err, status } = await enter(leader, { command: ["true"], detach });
          expect([err, status]).toEqual(["", 0]);
        }
        expect((await enter(leader, { command: ["sh", "-c", "ulimit -n"] })).out).toBe("24");
      },
      GUARD_MS,
    );

    test(
      "a message has no characters that act on a terminal",
      async () => {
        await using machine = await startNamespaced(["--mount"]);
        using leader = PidRef.of(machine.pid);
        const command = ["/a\u001b\u009b\u202e\u2066\u061c\u200f\u00e9\u2070\u200b"];
        const { err } = await enter(leader, { command });
        expect(err).toStartWith("Cannot run '/a??????????????\u00e9\u2070\u200b' in machine");
      },
      GUARD_MS,
    );

    test(
      "a detached command that cannot be executed is an error for the caller, and its output is discarded",
      async () => {
        await using machine = await startNamespaced(["--mount"]);
        using leader = PidRef.of(machine.pid);
        const missing = await enter(leader, { command: ["/nonexistent"], detach: true });
        expect(missing).toEqual({
          out: "",
          err: "Cannot run '/nonexistent' in machine 'm': No such file or directory",
          status: 127,
        });
        const { out, err, status } = await enter(leader, { command: ["sleep", "4711"], detach: true });
        expect([err, status]).toEqual(["", 0]);
        const pid = Number(out.split(" ")[0]);
        expect(readFileSync(`/proc/${pid}/cmdline`, "utf8")).toBe("sleep\x004711\0");
        process.kill(pid, "SIGKILL");
      },
      GUARD_MS,
    );

    test(
      "a time limit counts from the start, ends a command that ignores SIGTERM, and is refused for a detached command",
      async () => {
        await using machine = await startNamespaced(["--mount"]);
        using leader = PidRef.of(machine.pid);
        expect((await enter(leader, { command: ["sleep", "1000"], timeoutMs: 1 })).status).toBe(124);
        const stubborn = ["sh", "-c", "trap '' TERM; while :; do sleep 1000; done"];
        expect((await enter(leader, { command: stubborn, timeoutMs: 200 })).status).toBe(124);
        for (const change of [{ timeoutMs: 1 }, { terminal: "own" }] as const) {
          expect(() => enterCommand(requestFor(leader, { detach: true, ...change }), DESCRIPTORS)).toThrow(
            "no process stays to manage it",
          );
        }
        expect(() => enterCommand(requestFor(leader, { timeoutMs: -1 }), DESCRIPTORS)).toThrow("A time limit of -1 ms");
      },
      GUARD_MS,
    );

    test("'as' with a user but without a command is refused", () => {
      const { exitCode, stderr } = Bun.spawnSync([program, "as", "0", "0", ""]);
      expect([exitCode, stderr.toString()]).toEqual([125, "machined-enter: 'as' has no value\n"]);
    });

    test(
      "variables of the command do not affect the program that enters the machine",
      async () => {
        await using machine = await startNamespaced(["--pid", "--mount"]);
        using leader = PidRef.of(machine.pid);
        const environment = ["GLIBC_TUNABLES=x=y", "A=b=c", "LD_PRELOAD="];
        const { out } = await enter(leader, { environment, command: ["sh", "-c", 'echo "$GLIBC_TUNABLES $A"'] });
        expect(out).toBe("x=y b=c");
      },
      GUARD_MS,
    );
  },
);
