// The checks of `machinectl doctor`, called with facts that the test makes up: what they find, and which command they
// name.
import { describe, expect, test } from "bun:test";
import { DAEMON_CHECKS } from "../../../../src/cli/doctor/daemon-checks.ts";
import type { Check, Finding, Learned } from "../../../../src/cli/doctor/finding.ts";
import { cronLinesWithoutPath, databasesWithout, isAtLeast } from "../../../../src/cli/doctor/gather-files.ts";
import { HOST_CHECKS } from "../../../../src/cli/doctor/host-checks.ts";
import type { DaemonFacts, HostFacts, UnitFacts } from "../../../../src/cli/doctor/host-facts.ts";
import { MACHINE_CHECKS } from "../../../../src/cli/doctor/machine-checks.ts";
import type { MachineCheckFacts } from "../../../../src/cli/doctor/machine-facts.ts";

const GIB = 2 ** 30;
const ACTIVE: UnitFacts = { load: "loaded", active: "active", enabled: "enabled" };
const DAEMON: DaemonFacts = {
  owner: { pid: 7, program: "ours", path: "/usr/local/lib/machined/systemd-machined", isReplaced: false },
  answers: true,
  isActivatable: true,
  mainPid: 7,
  starts: { program: "ours", path: "/usr/local/lib/machined/systemd-machined" },
  forbidsExecutableMemory: false,
};
const WELL: HostFacts = {
  caller: { isRoot: true, machined: "machined", isInstalled: true },
  otherInit: null,
  bus: { failure: null, isSilent: false, isExpected: true },
  machined: DAEMON,
  importd: { ...DAEMON, owner: null, mainPid: 0 },
  privateSocket: { answers: true },
  units: {
    machined: ACTIVE,
    importd: { ...ACTIVE, active: "inactive" },
    importSocket: ACTIVE,
    execSocket: ACTIVE,
    networkd: ACTIVE,
    polkit: ACTIVE,
  },
  path: { found: [{ path: "/usr/local/bin/machinectl", isOurs: true }], isLinked: true, cronLines: [] },
  cgroup: { version: 2, missing: [] },
  kernel: { release: "6.1.0", missing: [], lesser: [] },
  nss: { without: [], module: "/usr/lib/libnss_mymachines.so.2" },
  hook: { release: 252, hasSocket: true, resolvedRuns: true },
  sockets: [{ path: "/run/systemd/machine", uid: 0, mode: 0o755, wanted: 0o755 }],
  polkit: { missing: [] },
  pool: {
    path: "/var/lib/machines",
    exists: true,
    isBtrfs: true,
    totalBytes: 10 * GIB,
    availableBytes: 5 * GIB,
    hasHidden: false,
    ofTransfers: [],
    ofOperations: [],
  },
  quota: { usageBytes: 1n, limitBytes: 2n ** 64n - 1n },
  namespaces: { most: 100, usual: 100 },
  denials: [],
  clock: { nowMs: 2e12, builtMs: 1e12 },
};

function learned<Facts extends object>(facts: Facts): Learned<Facts> {
  return Object.fromEntries(Object.entries(facts).map(([key, value]) => [key, { value }])) as unknown as Learned<Facts>;
}

function run<Facts extends object>(checks: readonly Check<Facts>[], id: string, facts: Facts): Finding {
  const check = checks.find((one) => one.id === id);
  if (check === undefined) throw new Error(`no check '${id}'`);
  return check.run(learned(facts));
}

const host = (id: string, changes: Partial<HostFacts>) =>
  run([...DAEMON_CHECKS, ...HOST_CHECKS], id, { ...WELL, ...changes });

test("on a host without problems every check reports 'ok', and every check has its own name", () => {
  const checks = [...DAEMON_CHECKS, ...HOST_CHECKS];
  expect(checks.map((check) => check.run(learned(WELL))).filter(({ level }) => level !== "ok")).toEqual([]);
  expect(new Set(checks.map(({ id }) => id)).size).toBe(checks.length);
});

test("checks that need a fact which could not be read report 'unknown' with the reason", () => {
  const facts: Learned<HostFacts> = { ...learned(WELL), pool: { reason: "no answer" } };
  const found = [...DAEMON_CHECKS, ...HOST_CHECKS].map((check) => [check.id, check.run(facts)] as const);
  const unknown = found.filter(([, { level }]) => level === "unknown");
  expect(unknown.map(([id]) => id)).toEqual(["space", "quota", "left-overs"]);
  expect(unknown[0]?.[1].what).toBe("could not be checked: no answer");
});

describe("the daemons", () => {
  const cases: [what: string, changes: Partial<DaemonFacts>, level: string, mend: string | undefined][] = [
    [
      "a replaced executable",
      { owner: { ...DAEMON.owner, isReplaced: true } as never },
      "warning",
      "systemctl restart",
    ],
    ["a daemon that cannot be started", { owner: null, isActivatable: false }, "problem", "machined install --now"],
    ["another process", { mainPid: 8 }, "problem", "kill 7 && systemctl restart systemd-machined.service"],
    ["the distribution's unit", { owner: null, starts: { program: "stock", path: "/x" } }, "problem", "install --now"],
    ["a daemon that does not answer", { answers: false }, "problem", "systemctl kill --signal=SIGKILL"],
    ["a daemon that does not run", { owner: null }, "ok", undefined],
  ];
  test.each(cases)("%s", (_what, changes, level, mend) => {
    const found = host("machined", { machined: { ...DAEMON, ...changes } });
    expect(found.level).toBe(level as Finding["level"]);
    if (mend === undefined) expect(found.mend).toBeUndefined();
    else expect(found.mend).toContain(mend);
  });

  const otherInit = { machined: "rc-service machined restart", importd: null, bus: "/etc/init.d/dbus restart" };

  test("on a host whose init is not systemd, the commands are those of that init", () => {
    const machined = { ...DAEMON, answers: false };
    expect(host("machined", { machined, otherInit }).mend).toBe("kill -KILL 7 && rc-service machined restart");
    const replaced = { ...DAEMON, owner: { ...DAEMON.owner, isReplaced: true } as never };
    expect(host("machined", { machined: replaced, otherInit }).mend).toBe("rc-service machined restart");
    expect(host("importd", { importd: replaced, otherInit })).not.toHaveProperty("mend");
    const bus = { failure: "no answer", isSilent: true, isExpected: true };
    expect(host("bus", { bus, otherInit }).mend).toBe("/etc/init.d/dbus restart");
    const pool = { ...WELL.pool, ofOperations: [".#x"] };
    expect(host("left-overs", { pool, otherInit }).mend).toBe("rc-service machined restart");
  });

  test("running the distribution's daemons is 'ok' where machined is not installed", () => {
    const stock = { path: "/usr/lib/systemd/systemd-machined", program: "stock", pid: 7, isReplaced: false } as const;
    const machined = { ...DAEMON, owner: stock, starts: stock, forbidsExecutableMemory: true };
    const caller = { ...WELL.caller, isInstalled: false };
    expect(host("machined", { machined, caller }).level).toBe("ok");
    expect(host("polkit", { caller, polkit: { missing: ["a"] } }).level).toBe("ok");
    expect(host("path", { caller, path: { found: [], isLinked: false, cronLines: [] } }).level).toBe("ok");
  });
});

describe("the host", () => {
  test("for another machinectl in PATH, a change of PATH is proposed where ours is installed, else its installation", () => {
    const found = [{ path: "/usr/bin/machinectl", isOurs: false }];
    expect(host("path", { path: { found, isLinked: true, cronLines: [] } })).toMatchObject({
      what: "/usr/bin/machinectl is found before /usr/local/bin/machinectl",
      mend: 'export PATH=/usr/local/bin:"$PATH"',
    });
    expect(host("path", { path: { found, isLinked: false, cronLines: [] } })).toMatchObject({
      what: "/usr/bin/machinectl is found, and machined's own is not installed",
      mend: "machined install --now",
    });
  });

  test("a missing bus is 'ok' while the private socket answers, unless a bus is expected", () => {
    const bus = { failure: "No such file or directory", isSilent: false, isExpected: false };
    expect(host("bus", { bus }).level).toBe("ok");
    expect(host("bus", { bus: { ...bus, isExpected: true } }).mend).toBe("systemctl start dbus.socket");
    expect(host("bus", { bus, privateSocket: { answers: false } })).toMatchObject({ level: "problem" });
  });

  test("with systemd-resolved's hook the line 'hosts' needs no NSS module, but the other lines do", () => {
    const nss = { without: ["hosts"], module: null };
    expect(host("nss-configuration", { nss }).level).toBe("warning");
    const hook = { release: 259, hasSocket: true, resolvedRuns: true };
    expect(host("nss-configuration", { nss, hook }).level).toBe("ok");
    expect(host("nss-configuration", { nss: { ...nss, without: ["hosts", "group"] }, hook }).what).toEndWith(
      "for group",
    );
    expect(host("resolved-hook", { hook: { ...hook, hasSocket: false } }).level).toBe("warning");
  });

  test("a pool near its quota is reported with set-limit, a file system that is nearly full without a command", () => {
    expect(host("quota", { quota: { usageBytes: 96n, limitBytes: 100n } }).mend).toBe("machinectl set-limit 200");
    expect(host("quota", { quota: { usageBytes: 94n, limitBytes: 100n } }).level).toBe("ok");
    expect(host("space", { pool: { ...WELL.pool, availableBytes: GIB / 4 } }).level).toBe("warning");
    expect(host("space", { pool: { ...WELL.pool, availableBytes: 1 } })).not.toHaveProperty("mend");
  });

  test("denials of AppArmor and SELinux, a wrong clock, an old kernel and lines of cron are found, with the command that helps", () => {
    const denials = ['audit: apparmor="DENIED" operation="open" profile="machined x" comm="machined"'];
    expect(host("denials", { denials }).mend).toBe("aa-complain 'machined x'");
    expect(host("denials", { denials: ["avc:  denied  { read } comm=machined"] }).mend).toStartWith("restorecon ");
    expect(host("time", { clock: { nowMs: 0, builtMs: 1e12 } }).mend).toBe("timedatectl set-ntp true");
    expect(host("kernel", { kernel: { release: "5.2", missing: ["pidfds"], lesser: [] } }).level).toBe("problem");
    expect(host("path", { path: { ...WELL.path, cronLines: ["* * * * * machinectl list"] } }).mend).toContain(
      "| crontab -",
    );
  });
});

describe("the files", () => {
  test("nsswitch.conf: databases without the NSS module are found; comments are ignored", () => {
    expect(databasesWithout("hosts: files mymachines\npasswd: files # mymachines\n", "mymachines")).toEqual([
      "passwd",
      "group",
    ]);
    const unusual = " hosts : files mymachines[NOTFOUND=return]\npasswd: mymachines\npasswd: files\n";
    expect(databasesWithout(unusual, "mymachines")).toEqual(["passwd", "group"]);
  });

  test("crontab: a call by name is found, unless PATH is set before it", () => {
    const lines = ["0 1 * * * machinectl clean", "1 * * * * cd /; importctl list-images", "# machinectl x"];
    expect(cronLinesWithoutPath([...lines, "* * * * * /usr/local/bin/machinectl list"].join("\n"))).toEqual(
      lines.slice(0, 2),
    );
    expect(cronLinesWithoutPath(["PATH=/usr/local/bin", ...lines].join("\n"))).toEqual([]);
  });

  test("releases of the kernel are compared by number", () => {
    expect(["5.12.0-rc1", "6.0", "5.4.0-1-amd64"].map((release) => isAtLeast(release, [5, 12]))).toEqual([
      true,
      true,
      false,
    ]);
  });
});

describe("a machine", () => {
  const MACHINE: MachineCheckFacts = {
    machine: {
      ...{ name: "web", id: "", class: "container", service: "systemd-nspawn", unit: "a\\x2db.service", subgroup: "" },
      ...{ state: "running", rootDirectory: "/x", sinceUsec: 0n, sinceMonotonicUsec: 0n, uid: 0, leaderPid: 9 },
      ...{ supervisorPid: 8, leaderPidfdId: 0n, supervisorPidfdId: 0n, interfaceIndices: [3] },
    },
    leader: "systemd",
    image: null,
    delegates: true,
    ownGroups: true,
    network: { isPrivate: true, hostInterfaces: ["ve-web"], addresses: ["10.0.0.2"] },
    hostNetworkd: ACTIVE,
    ownNetworkd: { active: "active", enabled: "enabled" },
    lookup: ["10.0.0.2"],
    hasBus: true,
  };
  const machine = (id: string, changes: Partial<MachineCheckFacts>) =>
    run(MACHINE_CHECKS, id, { ...MACHINE, ...changes });
  const none = { ...MACHINE.network, addresses: [] };

  test("without problems: every check reports 'ok'", () => {
    expect(MACHINE_CHECKS.filter((check) => check.run(learned(MACHINE)).level !== "ok")).toEqual([]);
  });

  test("without an address: the finding depends on the host's networkd, the machine's networkd and the interface", () => {
    const off = { load: "masked", active: "inactive", enabled: "masked" };
    expect(machine("address", { network: none, hostNetworkd: off }).mend).toStartWith("systemctl unmask ");
    expect(machine("address", { network: none, ownNetworkd: { active: "inactive", enabled: "masked" } }).mend).toBe(
      "machinectl exec web sh -c 'systemctl unmask systemd-networkd.service && systemctl enable --now systemd-networkd.service'",
    );
    expect(machine("address", { network: none }).mend).toBe("networkctl reconfigure ve-web");
    expect(machine("address", { network: { ...none, hostInterfaces: [] } })).toMatchObject({ level: "warning" });
    expect(machine("address", { network: { ...none, isPrivate: false } }).level).toBe("ok");
  });

  test("whose name does not resolve: 'install --nss' helps, but not where another user registered it", () => {
    expect(machine("name", { lookup: [] }).mend).toBe("machined install --nss");
    const { mend, why } = machine("name", { lookup: [], machine: { ...MACHINE.machine, uid: 1000 } });
    expect([mend, why]).toEqual([undefined, "user 1000 registered it, not root"]);
  });

  test("whose unit is not delegated: the unit's name is quoted for the shell, and a restart is not proposed for a scope", () => {
    const { mend } = machine("delegation", { delegates: false });
    expect(mend).toEndWith("systemctl restart 'a\\x2db.service'");
    const scope = { ...MACHINE.machine, unit: "a.scope" };
    expect(machine("delegation", { delegates: false, machine: scope })).not.toHaveProperty("mend");
    expect(machine("delegation", { delegates: false, ownGroups: null }).level).toBe("warning");
    expect(machine("delegation", { delegates: false, ownGroups: false }).level).toBe("ok");
  });
});
