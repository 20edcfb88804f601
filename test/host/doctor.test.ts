// `machinectl doctor` in a bed: a problem is set up, doctor reports it with a command, exactly that command is run, and
// doctor reports no problem.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Bed, isStock } from "../lib/bed.ts";
import { GUARD_MS } from "../lib/wait-for.ts";

const onlyOurs = isStock ? " (left out: a feature of machined)" : "";
const DOCTOR = "/usr/local/bin/machinectl doctor";
const MACHINED = "/usr/local/lib/machined/systemd-machined";
const OWNER = "busctl status org.freedesktop.machine1 2>/dev/null | sed -n s/^PID=//p";

interface Trap {
  readonly what: string;
  /** The check that finds it. */
  readonly id: string;
  /** The machine that doctor checks; without one it checks the host. */
  readonly machine?: string;
  readonly set: string;
  /** Run before doctor and before the command that it names, in the same shell. */
  readonly shell?: string;
  readonly level: "warning" | "problem";
  readonly after?: string;
}

const TRAPS: readonly Trap[] = [
  {
    what: "nsswitch.conf does not name the module",
    id: "nss-configuration",
    set: "sed -i 's/ mymachines//' /etc/nsswitch.conf",
    level: "warning",
  },
  {
    what: "the NSS module is missing",
    id: "nss-module",
    set: "rm /usr/lib/*-linux-gnu/libnss_mymachines.so.2",
    level: "warning",
  },
  {
    what: "the distribution's daemon answers",
    id: "machined",
    set: `rm /etc/systemd/system/systemd-machined.service; systemctl daemon-reload; systemctl restart systemd-machined.service
      wait_for sh -c '${OWNER} | grep -q .'`,
    level: "problem",
  },
  {
    what: "another machinectl comes first in PATH",
    id: "path",
    set: "",
    shell: "PATH=/usr/bin:/bin:/usr/local/bin",
    level: "warning",
  },
  {
    what: "networkd is masked",
    id: "networkd",
    set: "systemctl -q mask --now systemd-networkd.service",
    level: "warning",
  },
  { what: "polkit is masked", id: "polkit", set: "systemctl -q mask --now polkit.service", level: "problem" },
  {
    what: "polkit does not know the actions",
    id: "polkit",
    set: "rm /usr/share/polkit-1/actions/org.freedesktop.machine1.policy",
    level: "problem",
  },
  {
    what: "the pool is full",
    id: "space",
    set: `mount -t tmpfs -o size=80M tmpfs /var/lib/machines; head -c 70M /dev/zero > /var/lib/machines/.cache.raw`,
    level: "problem",
    after: "umount /var/lib/machines",
  },
  {
    what: "a killed operation left files",
    id: "left-overs",
    // The daemon, which an earlier case may have started, removes such files by itself when it starts, and 5 s later.
    set: `machinectl list > /dev/null
      runs() { since=$(systemctl show -P ActiveEnterTimestampMonotonic systemd-machined.service)
        [ $(($(cut -d. -f1 /proc/uptime) - since / 1000000)) -gt 8 ]; }
      wait_for runs
      mkdir -p '/var/lib/machines/.#tar0123456789abcdef/x' '/var/lib/machines/.#machined-0123456789abcdef'`,
    level: "warning",
    after: "[ -z \"$(ls -A /var/lib/machines | grep '^.#.*0123456789abcdef')\" ]",
  },
  {
    what: "the socket of the transfer daemon is disabled",
    id: "import-socket",
    set: "systemctl -q disable --now systemd-importd.socket",
    level: "warning",
  },
  {
    what: "the socket for commands of users is off",
    id: "exec-socket",
    set: "systemctl -q disable --now machined-exec.socket",
    level: "warning",
  },
  {
    what: "the runtime directory is not accessible",
    id: "sockets",
    set: "chmod 700 /run/systemd/machine",
    level: "problem",
    after: "[ $(stat -c %a /run/systemd/machine) = 755 ]",
  },
  {
    what: "a second daemon was started by hand",
    id: "machined",
    set: `systemctl stop systemd-machined.socket systemd-machined.service
      systemd-run -q --unit=second ${MACHINED}; wait_for sh -c '${OWNER} | grep -q .'`,
    level: "problem",
  },
  {
    what: "the daemon hangs",
    id: "machined",
    set: "systemctl kill --signal=SIGSTOP systemd-machined.service",
    level: "problem",
  },
  {
    what: "the unit forbids executable memory",
    id: "machined",
    set: `mkdir -p /etc/systemd/system/systemd-machined.service.d
      printf '[Service]\\nMemoryDenyWriteExecute=yes\\n' > /etc/systemd/system/systemd-machined.service.d/hard.conf
      systemctl daemon-reload; systemctl restart systemd-machined.service || :`,
    level: "problem",
  },
  {
    // A file stands for the kernel's setting, which would change the machine that the bed runs on, too.
    what: "user namespaces are disabled",
    id: "user-namespaces",
    set: "echo 0 > /root/most; mount --bind /root/most /proc/sys/user/max_user_namespaces",
    level: "problem",
    after: "umount /proc/sys/user/max_user_namespaces",
  },
  {
    what: "the unit of a machine is not delegated",
    id: "delegation",
    machine: "bb",
    set: `systemd-run -q --unit=bb systemd-nspawn -q --keep-unit --register=yes -M bb -D /var/lib/machines/bb \\
      --private-network /usr/bin/busybox sleep 100000; wait_for machinectl -q show bb -P Leader > /dev/null`,
    level: "warning",
    after: "systemctl stop bb.service",
  },
  {
    what: "no program in a machine configures its interface",
    id: "address",
    machine: "deb1",
    set: `machinectl exec deb1 sh -c 'systemctl -q mask --now systemd-networkd.service systemd-networkd.socket
      ip address flush dev host0 scope global'`,
    level: "problem",
  },
  {
    what: "the bus of a machine does not run",
    id: "shell",
    machine: "deb1",
    set: "machinectl exec deb1 sh -c 'systemctl -q stop dbus.socket dbus.service; rm -f /run/dbus/system_bus_socket'",
    level: "warning",
  },
  {
    what: "a machine does not run",
    id: "registered",
    machine: "deb1",
    // The unit of a machine that has ended may still be stopping, and then cannot be started.
    set: `machinectl terminate deb1; machinectl wait --for=ended deb1
        stopped() { systemctl show -P ActiveState systemd-nspawn@deb1.service | grep -qxE "inactive|failed"; }; wait_for stopped`,
    level: "problem",
  },
];

describe.skipIf(isStock)(`doctor${onlyOurs}`, () => {
  let bed: Bed;

  beforeAll(async () => {
    bed = await Bed.boot("doctor");
    await bed.install();
    await bed.startContainer("deb1");
    await bed.run(`mkdir -p /var/lib/machines/bb/usr/bin /var/lib/machines/bb/etc; cp /bin/busybox /var/lib/machines/bb/usr/bin/
      touch /var/lib/machines/bb/etc/os-release; wait_for sh -c "${DOCTOR} deb1 --json=short | jq -e 'all(.status == \\"ok\\")'"`);
  }, GUARD_MS);

  afterAll(() => bed.stop(), GUARD_MS);

  const run = (script: string) => {
    const wrapped = Buffer.from(script).toString("base64");
    return bed.run(`eval "$(base64 -d <<<'${wrapped}')"`);
  };

  test(
    "on a host without problems doctor reports none, and no false warnings",
    async () => {
      const findings = JSON.parse(await run(`${DOCTOR} --json=short`)) as {
        id: string;
        status: string;
        what: string;
      }[];
      const controllers = (await run("cat /sys/fs/cgroup/cgroup.controllers")).split(" ");
      const lacks = ["cpu", "memory", "io", "pids"].some((name) => !controllers.includes(name));
      const expected = lacks ? ["cgroup"] : [];
      expect(findings.filter(({ status }) => status !== "ok").map(({ id }) => id)).toEqual(expected);
      expect(findings.length).toBeGreaterThan(15);
      expect(await run(`${DOCTOR} deb1 -q`)).toBe("");
    },
    GUARD_MS,
  );

  test.each(TRAPS.map((trap) => [trap.what, trap] as const))(
    "%s: doctor finds the problem, and its command solves it",
    async (_what, { id, machine = "", set, shell = ":", level, after = ":" }) => {
      const output = await run(`
        exec 9>&1 >/root/log 2>&1
        give_up() { cat /root/log /root/found >&9; exit 1; }
        look() { ${DOCTOR} ${machine} --json=short; }
        one() { jq -r '.[] | select(.id == "${id}") | .'$1 /root/found; }
        ${set}
        ${shell}
        code=0; look > /root/found || code=$?
        echo "$(one status) $code" >&9
        mend=$(one mend)
        { ${DOCTOR} ${machine} || :; } | sed -n 's/^ *mend: //p' | grep -cxF -- "$mend" >&9
        eval "$mend" || give_up
        satisfied() { look > /root/found || :; [ "$(one status)" = ok ]; }
        wait_for satisfied || give_up
        ${after} || give_up
        echo mended >&9`);
      expect(output).toBe(`${level} ${level === "problem" ? 1 : 0}\n1\nmended`);
    },
    GUARD_MS,
  );

  test(
    "for users other than root, doctor names what it could not check",
    async () => {
      const output = await run(`setpriv --reuid=65534 --regid=65534 --clear-groups ${DOCTOR}; echo "status $?"`);
      expect(output).toMatch(/^unknown +space for images +could not be checked: only root/m);
      expect(output).toMatch(/^ok +systemd-machined +machined /m);
      expect(output).toContain("status 0");
      await run("chmod 700 /run/systemd/machine");
      expect(await run(`setpriv --reuid=65534 --regid=65534 --clear-groups ${DOCTOR} -q || :`)).toContain(
        "mend: sudo chmod 755 /run/systemd/machine",
      );
      await run("chmod 755 /run/systemd/machine");
    },
    GUARD_MS,
  );

  test(
    "a file system and a bus that do not answer affect only their own checks",
    async () => {
      const server = readFileSync(join(import.meta.dir, "../lib/silent-file-system.py")).toString("base64");
      const output = await run(`base64 -d <<<'${server}' > /root/silent.py
        python3 /root/silent.py /var/lib/machines getattr > /root/silent.out & server=$!
        wait_for grep -sq mounted /root/silent.out
        stat /var/lib/machines/image > /dev/null 2>&1 & wait_for grep -q silent /root/silent.out
        ${DOCTOR} | grep -e '^unknown' -e '^ok .*NSS' || :
        kill -9 $server; umount -l /var/lib/machines
        bus=$(systemctl show -P MainPID dbus.service); kill -STOP $bus
        ${DOCTOR} -q > /root/out || echo "status $?"; kill -CONT $bus; grep -A2 '^problem' /root/out`);
      expect(output).toMatch(/^unknown +space for images +could not be checked: no answer in 5 seconds/m);
      expect(output).toMatch(/^ok +NSS module/m);
      expect(output).toMatch(/^status 1$/m);
      expect(output).toMatch(/^problem +message bus +does not answer\n.*\n +mend: systemctl restart dbus.service$/m);
    },
    GUARD_MS,
  );
});
