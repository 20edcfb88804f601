// `machinectl register`, `unregister` and `wait` in a booted host, and shells of machines without a bus.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { Bed, isStock } from "../lib/bed.ts";
import { GUARD_MS } from "../lib/wait-for.ts";

let bed: Bed;

describe.skipIf(isStock)(isStock ? "register and wait (left out: a feature of machined)" : "register and wait", () => {
  beforeAll(async () => {
    bed = await Bed.boot("execute-wait");
    await bed.install();
    await run(`mkdir -p /var/lib/machines/bb/{usr/bin,proc,sys,dev,tmp,run,etc}; ln -s usr/bin /var/lib/machines/bb/bin
      cp /bin/busybox /var/lib/machines/bb/usr/bin/busybox; ln -s busybox /var/lib/machines/bb/usr/bin/sh
      echo 'root:x:0:0::/root:/bin/sh' > /var/lib/machines/bb/etc/passwd`);
  }, GUARD_MS);

  afterAll(() => bed.stop(), GUARD_MS);

  function run(script: string, timeoutSeconds = 200): Promise<string> {
    const wrapped = Buffer.from(script).toString("base64");
    return bed.run(`bash -c "$(base64 -d <<<'${wrapped}')"`, timeoutSeconds);
  }

  test(
    "a command is registered as a machine while it runs, and its exit status and streams are passed on",
    async () => {
      const inner = "machinectl show -P Class reg1; cat; exit 7";
      expect(await run(`echo input | machinectl register reg1 --class=vm -- sh -c '${inner}'; echo "|$?"`)).toBe(
        "vm\ninput\n|7",
      );
      expect(await run("machinectl show reg1 >/dev/null 2>&1; echo $?")).toBe("1");
      expect(await run("machinectl register reg1 -- sh -c 'kill -9 $$'; echo $?")).toBe("137");
      expect(await run("machinectl register reg1 -- /nonexistent 2>/dev/null; echo $?")).toBe("127");
    },
    GUARD_MS,
  );

  test(
    "a command whose machine cannot be registered is not run",
    async () => {
      expect(
        await run(
          "machinectl register 'bad name' -- touch /tmp/was-run 2>/dev/null; echo $?; ls /tmp/was-run 2>&1 | wc -c",
        ),
      ).toMatch(/^1\n[1-9]/);
      expect(await run("ls /tmp/was-run 2>/dev/null; echo none")).toBe("none");
    },
    GUARD_MS,
  );

  test(
    "a running process can be registered as a machine, and is not ended by unregister",
    async () => {
      const script = `sleep 1000 & pid=$!
      machinectl register reg2 --leader=$pid --service=mine --ssh-address=192.0.2.7 --vsock-cid=77
      machinectl show -P Leader reg2 | grep -cx $pid; machinectl show -P Service reg2; machinectl show -P SSHAddress reg2
      machinectl unregister reg2; machinectl show reg2 >/dev/null 2>&1; echo $?; kill -0 $pid && echo alive; kill $pid`;
      expect(await run(script)).toBe("1\nmine\n192.0.2.7\n1\nalive");
    },
    GUARD_MS,
  );

  test(
    "a command whose machinectl is killed is ended, and its machine is unregistered when it has ended",
    async () => {
      // SIGKILL, also to the whole process group; the unit of this script has other processes.
      for (const target of ["$w", "-$w"]) {
        const script = `set -m; machinectl register reg3 -- sleep 4711 & w=$!; set +m
        until machinectl show reg3 >/dev/null 2>&1; do sleep .1; done
        kill -KILL -- ${target}; machinectl wait --for=ended reg3; echo $?; pgrep -fxc "sleep 4711"
        until ! pgrep -f "register-en[d]" >/dev/null; do sleep .1; done`;
        expect(await run(script)).toMatch(/^0\n0$/m);
      }
      // A command that ignores SIGTERM stays registered until it ends.
      const stubborn = `machinectl register reg4 -- sh -c 'trap "echo term >/run/reg4" TERM; while :; do sleep .1; done' & w=$!
        until machinectl show reg4 >/dev/null 2>&1; do sleep .1; done; kill -KILL $w
        until test -e /run/reg4; do sleep .1; done; leader=$(machinectl show -P Leader reg4); kill -KILL $leader
        machinectl wait --for=ended reg4; echo $?`;
      expect(await run(stubborn)).toMatch(/^0$/m);
    },
    GUARD_MS,
  );

  test(
    "the root directory of a registered machine must exist, and may be relative or a link",
    async () => {
      const script = `sleep 1000 & pid=$!; mkdir -p /tmp/r/d; touch /tmp/r/f; ln -s d /tmp/r/l; cd /tmp/r
      for path in /nope f d l; do
        machinectl register reg5 --leader=$pid --root-directory=$path 2>&1 && machinectl show -P RootDirectory reg5 &&
          machinectl unregister reg5
      done; kill $pid`;
      expect(await run(script)).toBe(`Failed to register machine 'reg5': its root directory '/nope' does not exist
Failed to register machine 'reg5': its root directory 'f' is not a directory
/tmp/r/d
/tmp/r/d`);
    },
    GUARD_MS,
  );

  test(
    "terminate ends a machine below a unit also after its supervisor has ended, and no other process of that unit",
    async () => {
      // A service that keeps a payload in its own cgroup and another process beside it, as lxc-start does.
      const service = `base=$(find /sys/fs/cgroup -maxdepth 3 -path "*system.slice/payload-test.service" -type d | head -n 1)
        mkdir $base/monitor $base/payload; sleep 5001 & echo $! >$base/monitor/cgroup.procs
        sleep 5002 & echo $! >$base/payload/cgroup.procs; echo $! >/run/payload-leader; wait`;
      const encoded = Buffer.from(service).toString("base64");
      for (const between of ["true", "systemctl restart systemd-machined.service"]) {
        expect(
          await run(`rm -f /run/payload-leader
            systemd-run -q --collect --unit=payload-test -p Delegate=yes bash -c "$(base64 -d <<<'${encoded}')"
            until test -s /run/payload-leader; do sleep .1; done; leader=$(cat /run/payload-leader)
            machinectl register below --leader=$leader; machinectl show -P Subgroup below
            machinectl exec --detach below sleep 5003 >/dev/null 2>&1
            ${between}; machinectl terminate below; machinectl wait --for=ended below
            while pgrep -fx "sleep 500[23]" >/dev/null; do sleep .1; done; pgrep -fxc "sleep 5001"; systemctl stop payload-test`),
        ).toBe("payload\n1");
      }
    },
    GUARD_MS,
  );

  test(
    "wait returns when a machine has booted, has an address or has ended, or at its time limit",
    async () => {
      await bed.startContainer("deb1");
      expect(await run("machinectl wait deb1; machinectl exec deb1 systemctl is-system-running")).toMatch(
        /^(running|degraded)$/,
      );
      expect(await run("machinectl wait --for=address --timeout=1ms nosuch; echo $?")).toBe(
        "nosuch: not reachable at an address after 0.001 s\n124",
      );
      expect(await run("machinectl wait --for=ended nosuch; echo $?")).toBe("0");
      expect(await run("machinectl wait --any --for=running deb1 nosuch; echo $?")).toBe("0");
      expect(
        await run("machinectl wait --for=ended deb1 & wait=$!; machinectl poweroff deb1; wait $wait; echo $?"),
      ).toBe("0");
    },
    GUARD_MS,
  );

  test(
    "wait returns 1 for a machine that ends without meeting the condition, and waits for one that is registered later",
    async () => {
      expect(
        await run("machinectl register w1 -- sleep 1000 & machinectl wait --for=running w1; echo $?; kill %1; wait"),
      ).toContain("0");
      const script = `machinectl wait --for=ssh w2 & wait=$!
      while kill -0 $wait 2>/dev/null; do machinectl register w2 -- true; done; wait $wait; echo $?`;
      expect((await run(script)).split("\n").at(-1)).toBe("1");
    },
    GUARD_MS,
  );

  test(
    "shells can be opened in a machine without a bus, too",
    async () => {
      await run(`systemd-run --unit=bb -q -p KillMode=mixed systemd-nspawn -q --keep-unit --register=yes -M bb \\
        -D /var/lib/machines/bb --private-network /usr/bin/busybox sleep 100000; machinectl wait bb`);
      expect(await run("machinectl shell -q --wait-status bb /bin/busybox echo hello </dev/null; echo $?")).toContain(
        "hello\n0",
      );
      expect(await run("echo 'echo $((40+2)); exit 5' | machinectl shell -q --wait-status bb; echo $?")).toBe("42\n5");
    },
    GUARD_MS,
  );
});
