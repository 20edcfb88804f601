// The Debian package in a booted system: installed, upgraded and removed while machines run.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { Bed, systemdVersion } from "../../lib/bed.ts";
import { createMachines, machineFacts } from "../../lib/machines.ts";
import { GUARD_MS } from "../../lib/wait-for.ts";

const DEB = `/srv/machined/machined_*_${process.arch === "arm64" ? "arm64" : "amd64"}.deb`;
const WHO = "readlink /proc/$(systemctl show -P MainPID systemd-machined.service)/exe";

/**
 * Names, kinds, sizes and targets of all files that a package may change, without files that hosts write by themselves.
 */
const LISTING = `find /etc /usr -printf '%p %y %s %m %l\\n' | grep -v -e /etc/resolv.conf -e __pycache__ | sort`;

/** dpkg's verification of the files of the distribution's packages, and which of them are diverted. */
const DISTRIBUTION = "dpkg --verify systemd systemd-container dbus; dpkg-divert --list";

/** The same package with a higher version. */
const UPGRADE = `set -e; rm -rf /root/again; dpkg-deb -R ${DEB} /root/again
  sed -i 's/^Version: .*/&.1/' /root/again/DEBIAN/control
  dpkg-deb -Znone --build /root/again /root/again.deb; rm -r /root/again`;

describe(`the Debian package on systemd ${systemdVersion}`, () => {
  let bed: Bed;
  let before: string;
  let distribution: string;

  beforeAll(async () => {
    bed = await Bed.boot("deb");
    await bed.startContainer("deb1");
    await createMachines(bed, 6, "m");
    before = await bed.run(LISTING);
    distribution = await bed.run(DISTRIBUTION);
  }, GUARD_MS);

  afterAll(() => bed.stop(), GUARD_MS);

  async function expectSameMachines(facts: Awaited<ReturnType<typeof machineFacts>>): Promise<void> {
    expect(await machineFacts(bed)).toEqual(facts);
    expect(await bed.run("systemctl -M deb1 is-system-running || true")).toMatch(/running|degraded/);
  }

  test(
    "dpkg -i replaces the distribution's daemon, and the machines stay registered",
    async () => {
      const facts = await machineFacts(bed);
      expect(Object.keys(facts)).toHaveLength(7);
      expect(await bed.run(`dpkg -i ${DEB}`)).toContain("7 machines kept");
      expect(await bed.run(WHO)).toBe("/usr/lib/machined/machined");
      await expectSameMachines(facts);
      expect(await bed.run("bash -lc 'type -P machinectl'")).toBe("/usr/local/bin/machinectl");
      expect(await bed.run("machinectl --version")).toContain("machined ");
      expect(await bed.run("man -w machinectl 2>/dev/null || ls /usr/local/share/man/man1/machinectl.1.gz")).toContain(
        "/usr/local/share/man/man1/machinectl.1.gz",
      );
    },
    GUARD_MS,
  );

  test("dpkg owns the package's files, and the distribution's files are unchanged", async () => {
    expect(await bed.run("dpkg --verify machined")).toBe("");
    expect(await bed.run(DISTRIBUTION)).toBe(distribution);
    const page = await bed.run("readlink -f /usr/local/share/man/man1/machinectl.1.gz");
    expect(await bed.run(`dpkg -S ${page}`)).toStartWith("machined: ");
  });

  test("the preset of each unit is the state in which the installation leaves it", async () => {
    const units = "machined-exec.socket machined-fleet.service machined-metrics.socket machined-metrics-textfile.timer";
    expect(await bed.run(`systemctl list-unit-files --no-legend ${units} | awk '{ print $1, $2, $3 }' | sort`)).toBe(
      [
        "machined-exec.socket enabled enabled",
        "machined-fleet.service disabled disabled",
        "machined-metrics-textfile.timer disabled disabled",
        "machined-metrics.socket disabled disabled",
      ].join("\n"),
    );
  });

  test("the sockets that 'machined install' enables are enabled and answer", async () => {
    const sockets = "systemd-machined.socket systemd-importd.socket machined-exec.socket";
    expect(await bed.run(`systemctl is-active ${sockets}`)).toBe("active\nactive\nactive");
    await bed.run("importctl list-transfers");
    expect(await bed.run("readlink /proc/$(systemctl show -P MainPID systemd-importd.service)/exe")).toBe(
      "/usr/lib/machined/machined",
    );
    expect(await bed.run("machinectl exec deb1 cat /etc/os-release")).toContain("ID=debian");
    expect(
      await bed.run("systemd-analyze --man=no verify systemd-machined.service 2>&1 | grep -i machined || true"),
    ).toBe("");
  });

  test(
    "an upgrade replaces the running daemon, keeps the machines, and does not enable what was disabled",
    async () => {
      const facts = await machineFacts(bed);
      const pid = await bed.run("systemctl show -P MainPID systemd-machined.service");
      await bed.run("rm /etc/systemd/system/sockets.target.wants/machined-exec.socket");
      await bed.run(UPGRADE);
      expect(await bed.run("dpkg -i /root/again.deb")).toContain("7 machines kept");
      expect(await bed.run("systemctl show -P MainPID systemd-machined.service")).not.toBe(pid);
      expect(await bed.run(WHO)).toBe("/usr/lib/machined/machined");
      expect(await bed.run("ls /etc/systemd/system/sockets.target.wants")).not.toContain("machined-exec.socket");
      await expectSameMachines(facts);
    },
    GUARD_MS,
  );

  test(
    "a unit that was disabled stays so in an upgrade, and can be enabled again",
    async () => {
      const socket = "machined-exec.socket";
      await bed.run(`systemctl enable -q --now ${socket}; systemctl disable -q --now ${socket}`);
      const output = await bed.run("dpkg -i /root/again.deb");
      expect(output).not.toContain("next boot");
      expect(output).not.toContain("in your PATH");
      expect(await bed.run(`systemctl is-active ${socket} || true`)).toBe("inactive");
      expect(await bed.run(`systemctl enable -q --now ${socket}; systemctl is-active ${socket}`)).toBe("active");
    },
    GUARD_MS,
  );

  test(
    "a unit that was removed stays so in an upgrade, which succeeds, until it is installed again",
    async () => {
      const unit = "/etc/systemd/system/systemd-machined.service";
      await bed.run(`rm ${unit}; systemctl daemon-reload; systemctl restart systemd-machined.service`);
      expect(await bed.run("dpkg -i /root/again.deb")).toContain("was removed and stays removed");
      expect(await bed.run(WHO)).toBe("/usr/lib/systemd/systemd-machined");
      expect(await bed.run("machinectl doctor | grep '^problem *systemd-machined '")).not.toBe("");
      expect(await bed.run("/usr/lib/machined/machined install --now")).toContain("7 machines kept");
      expect(await bed.run(WHO)).toBe("/usr/lib/machined/machined");
      expect(await bed.run("machinectl doctor | grep -c 'machined is not installed' || true")).toBe("0");
    },
    GUARD_MS,
  );

  test(
    "removal starts the distribution's daemon again with the machines, and leaves no files",
    async () => {
      const facts = await machineFacts(bed);
      const ours = Object.keys(facts);
      const output = await bed.run("dpkg --purge machined");
      expect(output).toContain("7 machines kept");
      expect(output).not.toContain("not empty");
      expect(await bed.run(WHO)).toBe("/usr/lib/systemd/systemd-machined");
      expect(Object.keys(await machineFacts(bed))).toEqual(ours);
      expect(await bed.run(DISTRIBUTION)).toBe(distribution);
      expect(await bed.run(LISTING)).toBe(before);
      expect(await bed.run("systemctl -M deb1 is-system-running || true")).toMatch(/running|degraded/);
      expect(await bed.run("systemctl --failed --no-legend | grep -e machined -e importd || true")).toBe("");
    },
    GUARD_MS,
  );

  test(
    "a package that was unpacked and not configured is removed, too, with the links of the version before",
    async () => {
      const facts = await machineFacts(bed);
      await bed.run(`dpkg -i ${DEB}; dpkg --unpack /root/again.deb; dpkg --purge machined`);
      expect(await bed.run(WHO)).toBe("/usr/lib/systemd/systemd-machined");
      expect(await machineFacts(bed)).toEqual(facts);
      expect(await bed.run(DISTRIBUTION)).toBe(distribution);
      expect(await bed.run(LISTING)).toBe(before);
    },
    GUARD_MS,
  );

  test(
    "where policy-rc.d forbids starting services, the package is installed and the running daemon stays",
    async () => {
      await bed.run("printf '#!/bin/sh\\nexit 101\\n' > /usr/sbin/policy-rc.d; chmod +x /usr/sbin/policy-rc.d");
      await bed.run(`dpkg -i ${DEB}`);
      expect(await bed.run(WHO)).toBe("/usr/lib/systemd/systemd-machined");
      expect(await bed.run("readlink /usr/local/bin/machinectl")).toBe("/usr/lib/machined/machined");
      await bed.run("rm /usr/sbin/policy-rc.d; dpkg --purge machined");
      expect(await bed.run(LISTING)).toBe(before);
    },
    GUARD_MS,
  );
});
