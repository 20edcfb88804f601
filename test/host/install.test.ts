// An installation replaces the distribution's daemon, uninstalling brings it back and leaves no files; machines run all
// the time.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { Bed, isStock, systemdVersion } from "../lib/bed.ts";
import { createMachines, machineFacts } from "../lib/machines.ts";
import { GUARD_MS } from "../lib/wait-for.ts";

const TIMEOUT_MS = GUARD_MS;
const SWAPS = 5;

/**
 * Names, kinds, sizes and targets of all files that an installation may change, without files that hosts write by
 * themselves.
 */
const LISTING = `find /etc /usr -printf '%p %y %s %m %l\\n' | grep -v -e /etc/resolv.conf -e __pycache__ | sort`;

const WHO = `readlink /proc/$(systemctl show -P MainPID systemd-machined.service)/exe`;

const left = isStock ? " (left out: the distribution's programs are tested, and those are not installed)" : "";

describe.skipIf(isStock)(`installing${left}`, () => {
  let bed: Bed;
  let before: string;

  beforeAll(async () => {
    bed = await Bed.boot("install");
    await bed.startContainer("deb1");
    await createMachines(bed, 6, "m");
    before = await bed.run(LISTING);
    await bed.run(
      "touch /root/stamp; until touch /root/now && [ /root/now -nt /root/stamp ]; do sleep .1; done; rm /root/now",
    );
  }, TIMEOUT_MS);

  afterAll(() => bed.stop(), GUARD_MS);

  test(
    "install --now replaces the daemon and keeps a running container",
    async () => {
      const facts = await machineFacts(bed);
      expect(Object.keys(facts)).toHaveLength(7);
      const output = await bed.install();
      expect(output).toContain("7 machines kept");
      expect(await bed.run(WHO)).toBe("/usr/local/lib/machined/machined");
      expect(await machineFacts(bed)).toEqual(facts);
      expect(await bed.run("systemctl -M deb1 is-system-running || true")).toMatch(/running|degraded/);
      expect(await bed.run("bash -lc 'type -P machinectl'")).toBe("/usr/local/bin/machinectl");
      expect(await bed.run("machinectl list --no-legend | wc -l")).toBe("7");
    },
    TIMEOUT_MS,
  );

  test(
    "installing again changes nothing and does not restart the daemon",
    async () => {
      const pid = await bed.run("systemctl show -P MainPID systemd-machined.service");
      const listing = await bed.run(LISTING);
      expect(await bed.install()).toContain("systemd-machined.service runs already");
      expect(await bed.run(LISTING)).toBe(listing);
      expect(await bed.run("systemctl show -P MainPID systemd-machined.service")).toBe(pid);
    },
    TIMEOUT_MS,
  );

  test("the unit has systemd's sandbox, except that executable memory is allowed", async () => {
    const shown = await bed.run(`systemctl show systemd-machined.service -p NoNewPrivileges -p LockPersonality \\
      -p RestrictRealtime -p ProtectHostname -p MemoryDenyWriteExecute -p WatchdogUSec -p SystemCallErrorNumber -p NotifyAccess`);
    expect(shown.split("\n").sort()).toEqual([
      "LockPersonality=yes",
      "MemoryDenyWriteExecute=no",
      "NoNewPrivileges=yes",
      "NotifyAccess=main",
      "ProtectHostname=yes",
      "RestrictRealtime=yes",
      "SystemCallErrorNumber=1",
      "WatchdogUSec=3min",
    ]);
    expect(await bed.run("grep NoNewPrivs /proc/$(systemctl show -P MainPID systemd-machined.service)/status")).toMatch(
      /1$/,
    );
  });

  test("the bus policy lets everybody send the calls of newer releases, and the daemon answers them", async () => {
    const call = "busctl call org.freedesktop.machine1 /org/freedesktop/machine1 org.freedesktop.machine1.Manager";
    const { output } = await bed.exec(`runuser -u nobody -- ${call} GetMachineSSHInfo s nosuch`);
    expect(output).toContain("No machine 'nosuch' known");
    const { output: denied } = await bed.exec(
      "runuser -u nobody -- busctl set-property org.freedesktop.machine1 /org/freedesktop/LogControl1 org.freedesktop.LogControl1 LogLevel s debug",
    );
    expect(denied).toMatch(/denied/i);
  });

  test("polkit knows every action of the newest release", async () => {
    const actions = (await bed.run("pkaction | grep ^org.freedesktop.machine1.")).split("\n");
    expect(actions).toHaveLength(12);
    expect(actions).toContain("org.freedesktop.machine1.register-machine");
  });

  test("the Varlink socket exists while the daemon does not run, and a call to the bus name starts the daemon", async () => {
    await bed.run("systemctl stop systemd-machined.service 2>/dev/null");
    expect(await bed.run("test -S /run/systemd/machine/io.systemd.Machine && echo there")).toBe("there");
    expect(
      await bed.run(
        "busctl call org.freedesktop.machine1 /org/freedesktop/machine1 org.freedesktop.machine1.Manager GetMachine s deb1",
      ),
    ).toContain("/deb1");
    expect(await bed.run(WHO)).toBe("/usr/local/lib/machined/machined");
    await bed.run("systemctl stop systemd-machined.service 2>/dev/null");
    const ask = `printf '{"method":"io.systemd.Machine.List","parameters":{"name":"deb1"}}\\0' | timeout 5 socat -t5 - UNIX-CONNECT:/run/systemd/machine/io.systemd.Machine | tr -d '\\0'`;
    expect(JSON.parse(await bed.run(ask)).parameters.name).toBe("deb1");
  });

  test(
    "uninstall --now starts the distribution's daemon with the running machines, and leaves no files",
    async () => {
      const facts = await machineFacts(bed);
      const output = await bed.uninstall();
      expect(output).toContain("7 machines kept");
      expect(await bed.run(WHO)).toBe("/usr/lib/systemd/systemd-machined");
      expect(await machineFacts(bed)).toEqual(facts);
      expect(await bed.run(LISTING)).toBe(before);
      expect(await bed.run("find /etc /usr -newer /root/stamp ! -type d")).toBe("");
      // The distribution's systemd-importd has its own /run/systemd/import, from 257 on.
      const own =
        "/run/machined-run /run/systemd/import/{lock,private} /run/systemd/machine/{events,metrics,names,private}";
      expect(await bed.run(`ls -d ${own} 2>/dev/null; true`)).toBe("");
      expect(await bed.run("systemctl -M deb1 is-system-running || true")).toMatch(/running|degraded/);
      expect((await bed.exec("systemctl --failed --no-legend | grep machined")).output).toBe("");
    },
    TIMEOUT_MS,
  );

  test(
    `the daemons are exchanged ${SWAPS} times, and each reads the other's state`,
    async () => {
      const facts = await machineFacts(bed);
      for (let swap = 0; swap < SWAPS; swap++) {
        await bed.install();
        expect(await machineFacts(bed)).toEqual(facts);
        // Each daemon must read the other's state: a machine is started with machined, another with the distribution's
        // daemon.
        await bed.uninstall();
        expect(await machineFacts(bed)).toEqual(facts);
      }
      await createMachines(bed, 1, "under-stock");
      await bed.install();
      await createMachines(bed, 1, "under-ours");
      const both = await machineFacts(bed);
      expect(Object.keys(both)).toEqual(expect.arrayContaining(["under-stock1", "under-ours1"]));
      await bed.uninstall();
      expect(await machineFacts(bed)).toEqual(both);
    },
    TIMEOUT_MS,
  );

  test(
    "when machined's daemon cannot start, the installation is undone and the distribution's daemon runs again",
    async () => {
      const dropIn = "/etc/systemd/system/systemd-machined.service.d";
      const clients = "sha256sum /usr/bin/machinectl* /usr/bin/importctl*; dpkg-divert --list";
      const clientsBefore = await bed.run(clients);
      // The distribution's daemon works with this setting, machined does not: Bun cannot compile code with it.
      await bed.run(`mkdir -p ${dropIn}; printf '[Service]\\nMemoryDenyWriteExecute=yes\\n' >${dropIn}/strict.conf`);
      const names = "cat /etc/nsswitch.conf; ls /lib/*/libnss_mymachines* 2>&1";
      await bed.run("cp -p /etc/nsswitch.conf /root/nsswitch; sed -i 's/ mymachines//' /etc/nsswitch.conf");
      const namesBefore = await bed.run(names);
      const { code, output } = await bed.exec("/srv/machined/machined install --now --nss --divert");
      expect(code).toBe(1);
      expect(output).toContain("systemd-machined.service did not start. The last lines of its journal:");
      expect(output).toContain("Everything is as it was before");
      await bed.run(`rm -r ${dropIn}; systemctl daemon-reload`);
      expect(await bed.run(WHO)).toBe("/usr/lib/systemd/systemd-machined");
      expect(Object.keys(await machineFacts(bed))).toContain("deb1");
      expect(output).toContain("changed  /etc/nsswitch.conf");
      expect(output).toContain("diverted /usr/bin/machinectl");
      expect(await bed.run(clients)).toBe(clientsBefore);
      expect(await bed.run(names)).toBe(namesBefore);
      await bed.run("cp -p /root/nsswitch /etc/nsswitch.conf");
      expect(await bed.run(LISTING)).toBe(before);
    },
    TIMEOUT_MS,
  );

  test.each([
    ["that left the daemon running", "true"],
    ["that left the daemon running, and a reload of systemd", "systemctl daemon-reload"],
  ])(
    "after an uninstallation %s, uninstall --now hands over to the distribution's daemon",
    async (_what, meanwhile) => {
      const facts = await machineFacts(bed);
      await bed.install();
      await bed.run("/srv/machined/machined uninstall");
      expect(await bed.run(WHO)).toBe("/usr/local/lib/machined/machined (deleted)");
      await bed.run(meanwhile);
      expect(await bed.run("/srv/machined/machined uninstall --now")).toContain(
        `${Object.keys(facts).length} machines kept`,
      );
      expect(await bed.run(WHO)).toBe("/usr/lib/systemd/systemd-machined");
      expect(await bed.run("systemctl list-units --no-legend --state=not-found '*machined*' '*importd*'")).toBe("");
      expect(await bed.run(LISTING)).toBe(before);
    },
    TIMEOUT_MS,
  );

  test(
    "in a chroot that has the host's /run, files are installed and no daemon is started, also with --now",
    async () => {
      const inChroot = (words: string) =>
        bed.exec(`unshare --mount bash -c 'cd /var/lib/machines/deb1; mkdir -p srv/machined
          for place in proc run dev srv/machined; do mount --rbind /$place $place; done; exec chroot . ${words}'`);
      const pid = await bed.run("systemctl show -P MainPID systemd-machined.service");
      const { code, output } = await inChroot("/srv/machined/machined install --now");
      expect([code, output]).toEqual([0, expect.stringContaining("systemd does not run on this host")]);
      expect(await bed.run("systemctl show -P MainPID systemd-machined.service")).toBe(pid);
      expect((await inChroot("/srv/machined/machined uninstall --now")).code).toBe(0);
      expect(await bed.run("ls -d /var/lib/machines/deb1/usr/local/lib/machined 2>&1; true")).toContain("No such file");
    },
    TIMEOUT_MS,
  );

  test("with --divert, machined's clients are found in a PATH without /usr/local/bin, until they are uninstalled", async () => {
    const ask = "env -i PATH=/usr/bin:/bin machinectl --version";
    const stock = await bed.run(ask);
    await bed.run("/srv/machined/machined install --divert");
    expect(await bed.run(ask)).toContain("machined ");
    await bed.run("machined uninstall");
    expect(await bed.run(ask)).toBe(stock);
    expect(await bed.run(LISTING)).toBe(before);
  });

  test("an existing file of the administrator is an error, and nothing is created", async () => {
    await bed.run("echo mine >/usr/local/bin/machinectl");
    const listing = await bed.run(LISTING);
    const { code, output } = await bed.exec("/srv/machined/machined install --now");
    expect(code).toBe(1);
    expect(output).toContain("'/usr/local/bin/machinectl' is in the way and not from 'machined install'");
    expect(await bed.run(LISTING)).toBe(listing);
    await bed.run("rm /usr/local/bin/machinectl");
  });

  test("only root may install", async () => {
    const { code, output } = await bed.exec("runuser -u nobody -- /srv/machined/machined install");
    expect(code).toBe(1);
    expect(output.trim()).toBe(
      "machined install: Only root can install on the running host; --root=DIR installs into a directory",
    );
  });
});

test(
  "the bed runs the release of systemd that the suite is for",
  async () => {
    const bed = await Bed.boot("version");
    try {
      expect(await bed.run("systemctl --version | head -1")).toStartWith(`systemd ${systemdVersion}`);
    } finally {
      await bed.stop();
    }
  },
  TIMEOUT_MS,
);
