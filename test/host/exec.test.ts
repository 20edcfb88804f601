// `machinectl exec` in a booted host: streams, exit statuses, users, signals, and clean-up. The machines: a container
// with a user namespace and systemd (deb1), one without a user namespace (nu), and one whose only program is busybox
// (bb).

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { Bed, isStock } from "../lib/bed.ts";
import { documentedSchemas, schemaErrors } from "../lib/json-schema.ts";
import { GUARD_MS } from "../lib/wait-for.ts";

/** MiB that are sent through a command in each direction. */
const MEBIBYTES = Number(process.env["MACHINED_EXEC_MIB"] ?? 64);
const RUNS = Number(process.env["MACHINED_EXEC_RUNS"] ?? 200);

let bed: Bed;

const START = `
systemd-run --unit=nu -q -p KillMode=mixed -p Type=notify systemd-nspawn -q --keep-unit --register=yes \\
  -M nu -xb -D /var/lib/machines/deb1 --private-network --notify-ready=yes
mkdir -p /var/lib/machines/bb/{usr/bin,proc,sys,dev,tmp,run,etc}
ln -s usr/bin /var/lib/machines/bb/bin
cp /bin/busybox /var/lib/machines/bb/usr/bin/busybox
systemd-run --unit=bb -q -p KillMode=mixed systemd-nspawn -q --keep-unit --register=yes -M bb -D /var/lib/machines/bb \\
  --private-network /usr/bin/busybox sleep 100000
until machinectl show bb >/dev/null 2>&1; do sleep .1; done`;

describe.skipIf(isStock)(isStock ? "exec (left out: a feature of machined)" : "exec", () => {
  beforeAll(async () => {
    bed = await Bed.boot("exec");
    await bed.install();
    await bed.startContainer("deb1");
    await run(START);
  }, GUARD_MS);

  afterAll(() => bed.stop(), GUARD_MS);

  /** Runs a script in the bed, encoded, because `$$` and `${…}` would be replaced on the way. */
  function run(script: string, timeoutSeconds = 200): Promise<string> {
    const wrapped = Buffer.from(script).toString("base64");
    return bed.run(`bash -c "$(base64 -d <<<'${wrapped}')"`, timeoutSeconds);
  }

  /** The output of a script and its exit status, as `output|status`. */
  const status = (script: string) => run(`out=$(${script}); echo "$out|$?"`);

  for (const machine of ["deb1", "nu"]) {
    test(
      `${machine}: a command's stdin, stdout and stderr are those of the caller, separate, and unchanged byte for byte`,
      async () => {
        expect(await run(`seq 1 100000 | machinectl exec ${machine} wc -l`)).toBe("100000");
        expect(await run(`machinectl exec ${machine} sh -c 'echo out; echo err >&2' 2>/dev/null`)).toBe("out");
        expect(await run(`machinectl exec ${machine} sh -c 'echo out; echo err >&2' 2>&1 >/dev/null`)).toBe("err");
        const sums = await run(`head -c ${MEBIBYTES}M /dev/urandom > /tmp/random
        machinectl exec ${machine} cat < /tmp/random | cmp - /tmp/random && echo same; rm /tmp/random`);
        expect(sums).toBe("same");
        expect(await run(`machinectl exec --stdin=no ${machine} wc -c <<<text`)).toBe("0");
      },
      GUARD_MS,
    );

    test(
      `${machine}: the exit status is the command's, or 124 to 127 for a timeout or a failure`,
      async () => {
        for (const code of [0, 1, 2, 77, 124, 255]) {
          expect(await status(`machinectl exec ${machine} sh -c 'exit ${code}'`)).toBe(`|${code}`);
        }
        expect(await status(`machinectl exec ${machine} sh -c 'kill -9 $$'`)).toBe("|137");
        expect(await status(`machinectl exec ${machine} /nonexistent 2>/dev/null`)).toBe("|127");
        expect(await status(`machinectl exec ${machine} /etc/passwd 2>/dev/null`)).toBe("|126");
        expect(await status(`machinectl exec --timeout=300ms ${machine} sleep 1000`)).toBe("|124");
        expect(await status("machinectl exec nosuchmachine true 2>/dev/null")).toBe("|125");
        expect(await status(`machinectl exec nosuchuser@${machine} true 2>/dev/null`)).toBe("|125");
      },
      GUARD_MS,
    );

    test(
      `${machine}: a command runs as root or as the given user, in a clean environment`,
      async () => {
        expect(await run(`machinectl exec ${machine} id -un`)).toBe("root");
        expect(await run(`machinectl exec testuser@${machine} id -un`)).toBe("testuser");
        expect(await run(`machinectl exec --uid=65534 ${machine} id -u`)).toBe("65534");
        expect(await run(`machinectl exec testuser@${machine} grep CapEff /proc/self/status`)).toBe(
          "CapEff:\t0000000000000000",
        );
        const names = await run(
          `SECRET=1 machinectl exec -E 'A=b c' ${machine} sh -c 'echo "$A"; env | cut -d= -f1 | sort'`,
        );
        expect(names.split("\n")).toEqual(["b c", "A", "HOME", "LOGNAME", "PATH", "PWD", "SHELL", "USER"]);
        expect(await run(`machinectl exec ${machine} pwd; machinectl exec --chdir=/usr ${machine} pwd`)).toBe(
          "/root\n/usr",
        );
      },
      GUARD_MS,
    );

    test(
      `${machine}: a command has no open files and no namespaces of the host`,
      async () => {
        const script = `exec 7</etc/hostname 8</; machinectl exec ${machine} sh -c 'ls /proc/self/fd; readlink /proc/self/cwd; umask'`;
        // The fourth descriptor is that of ls itself.
        expect((await run(script)).split("\n")).toEqual(["0", "1", "2", "3", "/root", "0022"]);
        const own = await run(`machinectl exec ${machine} sh -c 'readlink /proc/self/ns/*' | sort`);
        const leader = await run(`for n in $(machinectl exec ${machine} ls /proc/1/ns); do
        machinectl exec ${machine} readlink /proc/1/ns/$n; done | sort`);
        expect(own).toBe(leader);
      },
      GUARD_MS,
    );

    test(
      `${machine}: a command has the leader's bounding set and no_new_privs`,
      async () => {
        // A process that has a filter itself, as all in a bed have, cannot copy filters: see
        // test/kernel/exec/enter.test.ts.
        const lines = "grep -E '^(CapBnd|NoNewPrivs):' /proc";
        const own = await run(`machinectl exec ${machine} ${lines}/self/status`);
        expect(own).toBe(await run(`${lines}/$(machinectl show -P Leader ${machine})/status`));
      },
      GUARD_MS,
    );

    test(
      `${machine}: a command is in the machine's unit, and its cgroup is removed after it`,
      async () => {
        const cgroup =
          await run(`set -- $(machinectl exec --detach ${machine} sh -c 'sleep 1000 & exec sleep 1000') && echo $2 &&
          until [ $(wc -l <$2/cgroup.procs) = 2 ]; do sleep .1; done; xargs kill <$2/cgroup.procs && until [ ! -e $2 ]; do sleep .1; done`);
        const unit = await run(`machinectl show -P Unit ${machine}`);
        expect(cgroup).toContain(`/${unit}/`);
        // The process that removes the cgroup ends with the unit of the caller, here that of one call of run().
        const kept = await run(`machinectl exec --detach ${machine} sleep 1000 | cut -d' ' -f2`);
        await run(`pid=$(cat ${kept}/cgroup.procs); kill $pid; while [ -e /proc/$pid ]; do sleep .1; done`);
        await run(`until [ ! -e ${kept} ]; do machinectl exec ${machine} true; done`);
        const object = JSON.parse(await run(`machinectl exec --detach --json=short ${machine} true`));
        expect(object).toEqual({ machine, pid: expect.any(Number), cgroup: expect.stringContaining(`/${unit}/`) });
        const [schema = {}] = documentedSchemas().get("machinectl exec") ?? [];
        expect(schemaErrors(schema, object)).toEqual([]);
      },
      GUARD_MS,
    );
  }

  test(
    "commands can be run in a machine without shell, libraries and user database",
    async () => {
      expect(await run("machinectl exec bb busybox echo hello")).toBe("hello");
      expect(await run("machinectl exec --uid=1000 bb busybox id -u")).toBe("1000");
      expect(await status("machinectl exec bb sh -c true 2>/dev/null")).toBe("|127");
    },
    GUARD_MS,
  );

  test(
    "a command ends with its caller: at a closed pipe, ^C, and a kill",
    async () => {
      expect(await run("machinectl exec deb1 yes | head -n 1")).toBe("y");
      const left = (signal: string) =>
        run(`machinectl exec deb1 sleep 4711 & caller=$!
        while ! machinectl exec deb1 pgrep -x sleep -a | grep -q 4711; do sleep .1; done
        kill -${signal} $caller; wait $caller 2>/dev/null
        while machinectl exec deb1 pgrep -x sleep -a | grep -q 4711; do sleep .1; done; echo gone`);
      for (const signal of ["INT", "TERM", "HUP", "KILL"]) expect(await left(signal)).toBe("gone");
    },
    GUARD_MS,
  );

  test(
    "in several machines a command runs one after the other, or concurrently with names before the lines; the exit status is the first failure",
    async () => {
      expect(await run("machinectl exec deb1,nu hostname | wc -l")).toBe("2");
      expect(await run("machinectl exec --parallel=2 'deb*,nu' echo hi | sort")).toBe("deb1 | hi\nnu   | hi");
      expect(await status("machinectl exec deb1,bb sh -c 'exit 3' 2>/dev/null")).toBe("|3");
    },
    GUARD_MS,
  );

  test(
    "the terminal is one of the machine; its size and the exit status are passed on",
    async () => {
      const script =
        "script -qec \"stty rows 33 cols 99; machinectl exec -t deb1 sh -c 'tty; stty size; exit 9'\" /dev/null; echo $?";
      // The terminal shows as ^@ what script(1) writes at the end of its own input.
      const lines = (await run(script)).replaceAll("\r", "").replace("^@", "").split("\n");
      expect(lines).toEqual([expect.stringMatching(/^\/dev\/pts\/\d+$/), "33 99", "9"]);
    },
    GUARD_MS,
  );

  test(
    "each call is logged in a line with caller, machine, user, program and exit status",
    async () => {
      await run("machinectl exec testuser@deb1 sh -c 'exit 42'; journalctl --sync");
      const fields = "MACHINE=deb1 MACHINE_PROGRAM=sh EXIT_STATUS=42 CALLER_UID=0";
      expect(await run(`journalctl -q -o cat ${fields} | tail -n 1`)).toBe(
        "User 0 ran 'sh' as testuser in machine 'deb1', exit status 42",
      );
    },
    GUARD_MS,
  );

  test(
    `${RUNS} calls in a row leave no process, cgroup or descriptor behind`,
    async () => {
      const count = "machinectl exec deb1 sh -c 'ls /proc | grep -c ^[0-9]'; find /sys/fs/cgroup -type d | wc -l";
      const before = (await run(count)).split("\n").map(Number);
      expect(before).toEqual([expect.any(Number), expect.any(Number)]);
      await run(`for i in $(seq ${RUNS}); do machinectl exec deb1 true || exit 1; done`, 280);
      expect(await run("find /sys/fs/cgroup -name '.machined-exec-*' | wc -l")).toBe("0");
      // Services of the machine start and end; what calls would leave behind is more than that.
      const after = (await run(count)).split("\n").map(Number);
      for (const [i, number] of after.entries()) expect(number).toBeLessThan((before[i] ?? 0) + RUNS / 10);
    },
    GUARD_MS,
  );

  test(
    "terminating a machine ends its commands",
    async () => {
      expect(
        await run(
          "machinectl exec nu sleep 1000 & pid=$!; until machinectl exec nu pgrep -x sleep >/dev/null; do sleep .1; done; machinectl terminate nu; wait $pid; echo $?",
        ),
      ).toMatch(/^(137|143)$/);
    },
    GUARD_MS,
  );
});
