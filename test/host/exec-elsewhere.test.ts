// `machinectl exec` in machines of other programs: containers of lxc and bubblewrap, virtual machines that are reached
// over ssh; and on a host with cgroups of version 1.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { Bed, isStock, tree } from "../lib/bed.ts";
import { hasCgroupV1 } from "../lib/cgroups.ts";
import { leaveOut } from "../lib/programs.ts";
import { GUARD_MS } from "../lib/wait-for.ts";

/** Runs bash in a bed; returns standard output and standard error together. */
function runIn(bed: Bed, script: string): Promise<string> {
  return bed.run(`bash -c "$(base64 -d <<<'${Buffer.from(script).toString("base64")}')"`);
}

const FACTS = "grep -E '^(CapBnd|NoNewPrivs|Seccomp):' /proc/self/status";

describe.skipIf(isStock)(
  isStock ? "machines of other programs (left out: a feature of machined)" : "machines of other programs",
  () => {
    let bed: Bed;
    const run = (script: string) => runIn(bed, script);

    beforeAll(async () => {
      bed = await Bed.boot("elsewhere", ["openssh-server", "lxc", "bubblewrap"]);
      await bed.install();
    }, GUARD_MS);
    afterAll(() => bed.stop(), GUARD_MS);

    test(
      "in an lxc container in a cgroup below a service, a command has the container's privileges and limits, and ends with it",
      async () => {
        await run(`root=/var/lib/lxc/c1/rootfs; mkdir -p $root/{bin,proc,sys,dev,tmp,etc}; cp /bin/busybox $root/bin/
        for a in sh sleep cat id grep wc; do ln -s busybox $root/bin/$a; done
        printf '%s\\n' 'lxc.rootfs.path = dir:/var/lib/lxc/c1/rootfs' 'lxc.init.cmd = /bin/sleep 100000' \\
          'lxc.mount.auto = proc:mixed sys:mixed' 'lxc.net.0.type = empty' 'lxc.apparmor.profile = unconfined' \\
          'lxc.cgroup.relative = 1' >/var/lib/lxc/c1/config
        systemd-run -q --unit=lxc-c1 -p Delegate=yes -p Type=forking lxc-start -n c1
        machinectl register c1 --leader=$(lxc-info -n c1 -p -H) --service=lxc`);
        expect(await run("seq 1 1000 | machinectl exec c1 wc -l; machinectl exec c1 sh -c 'exit 77'; echo $?")).toBe(
          "1000\n77",
        );
        const leader = "$(machinectl show -P Leader c1)";
        expect(await run(`machinectl exec c1 ${FACTS}`)).toBe(
          await run(`${FACTS.replace("self", leader).replaceAll("'", '"')}`),
        );
        expect(await run("machinectl exec c1 cat /proc/self/cgroup")).toMatch(/^0::\/\.machined-exec-\d+-0$/m);
        expect(
          await run(`machinectl exec --detach c1 sleep 4301 >/dev/null; machinectl terminate c1
          machinectl wait --for=ended c1; while pgrep -fx "sleep 4301" >/dev/null; do sleep .1; done
          until [ -z "$(find /sys/fs/cgroup -name '.machined-exec-*')" ]; do sleep .1; done; echo none`),
        ).toBe("none");
      },
      GUARD_MS,
    );

    test(
      "an lxc container whose cgroup is in no unit: registered by root alone, known after a restart, and terminated",
      async () => {
        await run(`cp -r /var/lib/lxc/c1 /var/lib/lxc/c2; cd /var/lib/lxc/c2; sed -i '/relative/d; s|/c1/|/c2/|' config
        ln -s busybox rootfs/bin/hostname; echo 'lxc.uts.name = in-c2' >>config; lxc-start -n c2`);
        const leader = await run("lxc-info -n c2 -p -H");
        expect(await run(`grep ^0:: /proc/${leader}/cgroup`)).toBe("0::/lxc.payload.c2");
        // The interface of the original refuses it (M59).
        expect(
          await run(`busctl call org.freedesktop.machine1 /org/freedesktop/machine1 org.freedesktop.machine1.Manager \\
          RegisterMachine sayssus c2 0 '' container ${leader} '' 2>&1; echo $?`),
        ).toBe(`Call failed: Failed to determine unit of process ${leader} : No such device or address\n1`);
        await run(`useradd -m u2; runuser -u u2 -- machinectl register c2 --leader=${leader} >/dev/null 2>&1 && exit 1
        machinectl show c2 >/dev/null 2>&1 && exit 1; machinectl register c2 --leader=${leader} --service=lxc`);
        expect(await run("machinectl exec c2 hostname; machinectl show c2 -P Unit -P Leader -P Service")).toBe(
          `in-c2\nlxc\n\n${leader}`,
        );
        expect(await run("systemctl restart systemd-machined; machinectl show c2 -P Leader")).toBe(leader);
        await run("machinectl exec --detach c2 sleep 4303 >/dev/null; machinectl kill --signal=USR1 c2");
        expect(
          await run(`while pgrep -fx "sleep 4303" >/dev/null; do sleep .1; done; machinectl terminate c2
          machinectl wait --for=ended c2; until lxc-wait -n c2 -s STOPPED 2>/dev/null; do sleep .1; done; echo ended; ls /run/systemd/machines | grep -c c2 || true`),
        ).toBe("ended\n0");
      },
      GUARD_MS,
    );

    test(
      "a program that makes a container, run by register: the container's init is the leader, and the status is the program's",
      async () => {
        const bubble = "bwrap --unshare-all --ro-bind / / --proc /proc --dev /dev --hostname inside";
        await run(`mkfifo /run/end
        systemd-run -q --unit=wrapper -p RemainAfterExit=yes machinectl register wrapped -- ${bubble} \\
          --bind /run/end /run/end sh -c 'read line </run/end; exit 7'
        until [ "$(machinectl exec wrapped hostname 2>/dev/null)" = inside ]; do sleep .1; done`);
        expect(await run("machinectl exec wrapped hostname 2>&1; machinectl show wrapped -P Unit")).toBe(
          "inside\nwrapper.service",
        );
        expect(
          await run(`echo >/run/end; machinectl wait --for=ended wrapped
          until [ "$(systemctl show -P ExecMainStatus wrapper)" = 7 ]; do sleep .1; done
          machinectl show wrapped 2>&1 || true`),
        ).toContain("No machine 'wrapped' known");
      },
      GUARD_MS,
    );

    test(
      "a command in a machine that shares the host's files and processes runs with a warning",
      async () => {
        await run(
          "systemd-run -q --unit=bare sleep 1000; machinectl register bare --leader=$(systemctl show -P MainPID bare)",
        );
        expect(await run("machinectl exec bare echo out 2>&1 >/dev/null")).toMatch(
          /^The leader of machine 'bare', process \d+, shares the files and processes of the host: the command runs there$/,
        );
        expect(await run("machinectl exec bare echo out 2>/dev/null; machinectl terminate bare")).toBe("out");
      },
      GUARD_MS,
    );

    test(
      "in an unprivileged bubblewrap, which maps one user, the command runs as that user",
      async () => {
        await run(`useradd -m u1
        systemd-run -q --unit=bwrap1 --uid=u1 bwrap --unshare-all --ro-bind /usr /usr --symlink usr/bin /bin \\
          --symlink usr/lib /lib --symlink usr/lib64 /lib64 --proc /proc --dev /dev sleep 4302
        until machinectl register b1 --leader=$(pgrep -fx 'sleep 4302') 2>/dev/null; do sleep .1; done`);
        expect(await run("machinectl exec b1 id -u; id -u u1; echo x | machinectl exec b1 cat")).toMatch(
          /^(\d+)\n\1\nx$/,
        );
        expect(await run("machinectl exec --uid=0 b1 id 2>&1; echo $?")).toMatch(
          /its user namespace maps other ids.*\n125$/,
        );
        await run("pkill -fx 'sleep 4302'; machinectl wait --for=ended b1");
      },
      GUARD_MS,
    );

    test(
      "a virtual machine is reached over ssh by exec, shell, copy-to and copy-from",
      async () => {
        // The virtual machine is this host itself: the test is about the connection.
        await run(`mkdir -p -m 700 /root/.ssh /etc/vm; ssh-keygen -q -t ed25519 -N '' -f /etc/vm/key
        cat /etc/vm/key.pub >>/root/.ssh/authorized_keys; ssh-keyscan 127.0.0.1 >>/root/.ssh/known_hosts 2>/dev/null
        systemd-run -q --unit=vm1 sleep infinity; leader=$(systemctl show -P MainPID vm1)
        machinectl register vm1 --class=vm --leader=$leader --ssh-address=127.0.0.1 --ssh-private-key=/etc/vm/key`);
        expect(
          await run(
            "echo in | machinectl exec -E 'A=b c' --chdir=/tmp vm1 sh -c 'pwd; cat; echo \"$A\"; exit 9'; echo $?",
          ),
        ).toBe("/tmp\nin\nb c\n9");
        expect(await run("machinectl exec --timeout=1s vm1 sleep 1000; echo $?")).toBe("124");
        expect(await run("machinectl shell --wait-status vm1 /bin/sh -c 'exit 5' </dev/null; echo $?")).toMatch(/5$/);
        expect(
          await run(`cd /run; mkdir -p src/sub; echo a >src/a; echo b >src/sub/b; chmod 640 src/a
          machinectl copy-to vm1 src /run/there; find /run/there | sort; stat -c %a /run/there/a
          machinectl copy-to vm1 src /run/there 2>&1; echo $?
          echo c >src/c; machinectl copy-to --force vm1 src /run/there; ls /run/there
          machinectl copy-from vm1 /run/there/sub/b /run/back; cat /run/back
          machinectl copy-from vm1 /run/there/sub/b /run/back 2>&1; echo $?
          machinectl copy-from vm1 '/run/no file' /run/none 2>&1 | tail -n 1`),
        ).toBe(
          [
            "/run/there\n/run/there/a\n/run/there/sub\n/run/there/sub/b\n640",
            "Failed to copy '/run/src' to '/run/there' in machine 'vm1': File exists\n1",
            "a\nc\nsub\nb",
            "Failed to copy '/run/there/sub/b' in machine 'vm1' to '/run/back': File exists\n1",
            "Failed to copy '/run/no file' in machine 'vm1' to '/run/none': scp failed with exit status 1",
          ].join("\n"),
        );
      },
      GUARD_MS,
    );
  },
);

const V1 = tree === "bookworm" && !isStock && hasCgroupV1;
if (tree === "bookworm" && !hasCgroupV1) leaveOut("exec with cgroups of version 1", "this host has none");
describe.skipIf(!V1)(
  V1 ? "cgroups of version 1" : "cgroups of version 1 (left out: tests machined on bookworm, where the host has them)",
  () => {
    let bed: Bed;

    beforeAll(async () => {
      bed = await Bed.boot("v1", [], ["--cgroup", "v1"]);
      await bed.install();
      await bed.startContainer("deb1");
    }, GUARD_MS);
    afterAll(() => bed.stop(), GUARD_MS);

    test(
      "a command is in a cgroup below the machine's, and ends with the machine",
      async () => {
        const lines = await runIn(bed, "machinectl exec deb1 cat /proc/self/cgroup");
        expect(lines).toMatch(/:name=systemd:\/\.machined-exec-\d+-0$/m);
        expect(lines).not.toMatch(/:memory:\/\.machined/);
        // systemd in a container is not told when a cgroup of version 1 is empty: it may wait for the process that
        // removes the cgroup of the command, until the time limit of the script's unit, which then counts as failed.
        const { output } = await bed.exec("machinectl exec --detach deb1 sleep 4303; echo $?");
        expect(output).toMatch(/\n0\n$/);
        expect(output).toMatch(
          /^\d+ \/sys\/fs\/cgroup\/systemd\/.*systemd-nspawn@deb1\.service\/payload\/\.machined-exec-/,
        );
        expect(
          await runIn(
            bed,
            `machinectl terminate deb1; while pgrep -fx "sleep 4303" >/dev/null; do sleep .1; done
          until [ -z "$(find /sys/fs/cgroup -name '.machined-exec-*')" ]; do sleep .1; done; echo none`,
          ),
        ).toBe("none");
      },
      GUARD_MS,
    );
  },
);
