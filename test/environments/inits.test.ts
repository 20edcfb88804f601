// Booted hosts whose process 1 is not systemd: Debian with sysvinit, OpenRC, runit and s6. The services are installed,
// started by the next boot, work without systemd, and are uninstalled.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { Bed, isStock, tree } from "../lib/bed.ts";
import { GUARD_MS } from "../lib/wait-for.ts";

interface HostInit {
  readonly label: string;
  readonly packages: readonly string[];
  /** The name of process 1. */
  readonly first: string;
  /** A command that prints the state of a service, with status 0 if it runs. */
  status(service: string): string;
  /** Whether the tree keeps systemd's other programs, such as systemd-nspawn. */
  readonly hasNspawn: boolean;
  /** Whether the init restarts a service that ended. */
  readonly startsAgain: boolean;
  /** What the console shows when the services are stopped at shutdown; null if the init prints nothing. */
  readonly stopped: RegExp | null;
  /** A file of one of the services. */
  readonly files: readonly string[];
}

const INITS: readonly HostInit[] = [
  {
    label: "sysvinit",
    packages: ["sysvinit-core", "libelogind0"],
    first: "init",
    status: (service) => `/etc/init.d/${service} status`,
    hasNspawn: false,
    startsAgain: false,
    // Scripts run in parallel, and the last lines of one of them may be lost.
    stopped: /machined(-import)? stopped\./,
    files: ["/etc/init.d/machined"],
  },
  {
    label: "openrc",
    packages: ["openrc", "sysvinit-core"],
    first: "init",
    status: (service) => `rc-service ${service} status`,
    hasNspawn: true,
    startsAgain: true,
    stopped: /Stopping machined-import[\s\S]*Stopping machined\b/,
    files: ["/etc/init.d/machined", "/etc/runlevels/default/machined"],
  },
  {
    label: "runit",
    packages: ["runit-init"],
    first: "runit",
    status: (service) => `sv check ${service}`,
    hasNspawn: true,
    startsAgain: true,
    stopped: null,
    files: ["/etc/sv/machined/run", "/etc/runit/runsvdir/default/machined"],
  },
  {
    label: "s6",
    packages: ["s6"],
    first: "s6-svscan",
    status: (service) => `s6-svwait -U -t 1000 /etc/service/${service}`,
    hasNspawn: true,
    startsAgain: true,
    stopped: /all services have ended/,
    files: ["/etc/machined/s6/machined/run", "/etc/service/machined"],
  },
];

const SERVICES = ["machined", "machined-import"];

/** The directories that an installation may change. OpenRC writes an index of its own when it shuts down. */
const LISTING = `find /etc /usr -printf '%p %y %s %m %l\\n' | grep -v -e ' d [0-9]' -e /etc/resolv.conf -e /usr/lib/rc/cache | sort`;

const left = isStock
  ? " (left out: the distribution's programs need systemd)"
  : tree === "bookworm"
    ? ""
    : " (left out: one Debian is enough, and that is bookworm)";

describe.skipIf(left !== "").each([...INITS])(`a host with $label${left}`, (init) => {
  let bed: Bed;
  let before: string;

  beforeAll(async () => {
    bed = await Bed.boot(init.label, init.packages, ["--init"]);
    before = await bed.run(LISTING);
  }, GUARD_MS);

  afterAll(() => bed.stop(), GUARD_MS);

  const serve = async () => {
    for (const service of SERVICES)
      await bed.run(`serves() { ${init.status(service)} >/dev/null 2>&1; }; wait_for serves`);
    await bed.run("wait_for test -S /run/systemd/import/private");
  };

  test(
    "installs and starts a service for each daemon",
    async () => {
      expect(await bed.run("cat /proc/1/comm; test -e /run/systemd/system || echo no systemd")).toBe(
        `${init.first}\nno systemd`,
      );
      const planned = await bed.run("/srv/machined/machined install --dry-run");
      for (const path of init.files) expect(planned).toContain(`would make ${path}\n`);
      expect(planned).not.toContain("/etc/systemd");
      const output = await bed.install();
      for (const service of SERVICES) expect(output).toContain(`${service} runs`);
      for (const service of SERVICES) await bed.run(init.status(service));
      expect(await bed.install()).toContain("machined runs already\nmachined-import runs already");
      const checks = await bed.run("machined doctor || true");
      expect(checks).toMatch(/ok +systemd-machined/);
      expect(checks).not.toMatch(/systemd1|^unknown +(systemd|transfers|exec|private)/m);
    },
    GUARD_MS,
  );

  test(
    "starts the services at the next boot",
    async () => {
      const stopping = await bed.reboot();
      if (init.stopped !== null) expect(stopping).toMatch(init.stopped);
      await serve();
      expect(await bed.run("machinectl list")).toBe("No machines.");
    },
    GUARD_MS,
  );

  test(
    "registers a machine, runs commands in it and ends it",
    async () => {
      const output =
        await bed.run(`unshare -m -u -p -f sh -c 'trap "exit 0" TERM; tail -f /dev/null & wait' </dev/null >/dev/null 2>&1 &
      child_of() { leader=$(pgrep -P "$1"); }; wait_for child_of $!
      machinectl register m1 --leader=$leader
      machinectl list --no-legend
      machinectl exec m1 id -un
      machinectl terminate m1
      gone() { ! machinectl show m1 >/dev/null 2>&1; }; wait_for gone`);
      expect(output).toMatch(/^m1 +container/);
      expect(output).toMatch(/^root$/m);
    },
    GUARD_MS,
  );

  test(
    "imports and exports images",
    async () => {
      const output =
        await bed.run(`mkdir -p /root/t/etc && echo ID=test >/root/t/etc/os-release && tar -C /root/t -cf /root/t.tar .
      importctl import-tar /root/t.tar imported --class=machine
      machinectl list-images --no-legend
      importctl export-tar imported /root/out.tar --class=machine && tar -tf /root/out.tar`);
      expect(output).toMatch(/^imported +(subvolume|directory)/m);
      expect(output).toContain("./etc/os-release");
    },
    GUARD_MS,
  );

  if (init.hasNspawn) {
    test(
      "starts an image with systemd-nspawn, and reboots, powers off and terminates the machine",
      async () => {
        await bed.inner("deb1");
        expect(
          await bed.run(`machinectl start deb1
          leader() { machinectl show deb1 -P Leader 2>/dev/null; }
          first=$(leader)
          machinectl show deb1 -P Unit
          machinectl exec deb1 id -un
          machinectl wait --for=booted deb1
          machinectl reboot deb1
          again() { now=$(leader) && [ "$now" != "$first" ]; }; wait_for again
          machinectl wait --for=booted deb1
          machinectl poweroff deb1
          ended() { ! leader >/dev/null && ! pgrep -x systemd-nspawn >/dev/null && [ ! -e /sys/fs/cgroup/machine.slice/systemd-nspawn@deb1.service ]; }
          wait_for ended
          machinectl start deb1
          machinectl terminate deb1
          wait_for ended`),
        ).toBe("systemd-nspawn@deb1.service\nroot");
      },
      GUARD_MS,
    );
  } else {
    test(
      "says what helps when systemd-nspawn is missing",
      async () => {
        const { code, output } = await bed.exec("machinectl start imported");
        expect(code).toBe(1);
        expect(output).toContain(
          "there is no systemd-nspawn(1): install it, or start it by hand, and make it known with",
        );
      },
      GUARD_MS,
    );
  }

  if (init.startsAgain) {
    test(
      "restarts a daemon that was killed",
      async () => {
        await bed.run(`daemon() { pgrep -f '[l]ib/machined/systemd-machined$'; }
          killed=$(daemon); kill -KILL $killed
          again() { now=$(daemon) && [ "$now" != "$killed" ] && machinectl list >/dev/null 2>&1; }; wait_for again`);
      },
      GUARD_MS,
    );
  }

  test(
    "doctor names the command of the init that starts a daemon again which does not answer, and the command works",
    async () => {
      await bed.run(`daemon() { pgrep -f '[l]ib/machined/systemd-machined$'; }
        hung=$(daemon); kill -STOP $hung
        mend=$(machinectl doctor | grep -A3 '^problem *systemd-machined .*does not answer' | sed -n 's/^ *mend: //p')
        case $mend in *systemctl*|'') echo "mend: $mend" >&2; exit 1;; esac
        eval "$mend"
        again() { now=$(daemon) && [ "$now" != "$hung" ] && machinectl list >/dev/null 2>&1; }; wait_for again`);
    },
    GUARD_MS,
  );

  test(
    "has daemons that answer root without a bus",
    async () => {
      await bed.run(`kill $(cat /run/dbus/pid); rm -f /run/dbus/system_bus_socket
        machinectl list
        importctl import-tar /root/t.tar again --class=machine
        machinectl remove again`);
    },
    GUARD_MS,
  );

  test(
    "is restored completely by uninstall",
    async () => {
      await bed.uninstall();
      expect(await bed.run("pgrep -f '[l]ib/machined/' || echo none")).toBe("none");
      expect(await bed.run(LISTING)).toBe(before);
      expect(await bed.run("ls /run | grep machined || echo none")).toBe("none");
      expect(await bed.run("ls -d /run/systemd/{machine,machines,import,resolve.hook} 2>/dev/null || echo none")).toBe(
        "none",
      );
    },
    GUARD_MS,
  );

  if (init.label === "s6") {
    test(
      "gets no services where the scan directory is in memory, and is told what to add",
      async () => {
        const inMemory = "mkdir -p /run/service; exec s6-svscan /run/service";
        await bed.run(`sed -i 's#^exec .*#${inMemory}#' /usr/sbin/init`);
        await bed.reboot();
        const unchanged = await bed.run(LISTING);
        const { code, output } = await bed.exec("/srv/machined/machined install --now");
        expect(code).toBe(1);
        expect(output).toContain("the scan directory '/run/service' is in memory");
        expect(output).toContain("Without --now, everything else is installed");
        expect(await bed.run(LISTING)).toBe(unchanged);
        const installed = await bed.run("/srv/machined/machined install");
        expect(installed).toContain("Add services that execute '/usr/local/lib/machined/systemd-machined'");
        await bed.uninstall();
        expect(await bed.run(LISTING)).toBe(unchanged);
      },
      GUARD_MS,
    );
  }
});
