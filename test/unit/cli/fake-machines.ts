// The machines of the recordings: what the machine manager and the service manager returned for them.
import { Variant } from "../../../src/base/variant.ts";

export interface FakeMachine {
  readonly name: string;
  readonly id: string;
  readonly class: string;
  readonly service: string;
  readonly unit: string;
  readonly subgroup: string;
  readonly leader: number;
  readonly leaderName: string;
  readonly leaderPidfdId: bigint;
  readonly supervisor: number;
  readonly supervisorName: string | null;
  readonly supervisorPidfdId: bigint;
  readonly root: string;
  readonly since: bigint;
  readonly sinceMonotonic: bigint;
  readonly interfaces: readonly number[];
  /** Null: the call is refused. */
  readonly addresses: readonly string[] | null;
  readonly osRelease: Readonly<Record<string, string>> | null;
  readonly uidShift: number;
  readonly cgroup: string;
  readonly processes: readonly (readonly [cgroup: string, pid: number, command: string])[];
  readonly journal: readonly string[];
}

const ALPHA_ADDRESSES = ["10.99.0.2", "10.99.0.3", "2001:db8::5", "fe80::1064:dff:fe1a:87ae"];
const ALPHA_GROUP = "/machine.slice/systemd-nspawn@alpha.service";
const DBUS_COMMAND =
  "/usr/bin/dbus-daemon --system --address=systemd: --nofork --nopidfile --systemd-activation --syslog-only";
const NSPAWN_COMMAND =
  "systemd-nspawn --quiet --keep-unit --boot --link-journal=try-guest --network-veth -U --settings=override --machine=alpha";

const ALPHA_PROCESSES: FakeMachine["processes"] = [
  ["payload/system.slice/dbus.service", 557, DBUS_COMMAND],
  ["payload/init.scope", 528, "/usr/lib/systemd/systemd"],
  ["payload/system.slice/systemd-logind.service", 558, "/lib/systemd/systemd-logind"],
  [
    "payload/system.slice/console-getty.service",
    560,
    '/sbin/agetty -o "-p -- \\\\u" --noclear --keep-baud - 115200,38400,9600 dumb',
  ],
  ["payload/system.slice/systemd-journald.service", 544, "/lib/systemd/systemd-journald"],
  ["supervisor", 525, NSPAWN_COMMAND],
].map(([group, pid, command]) => [`${ALPHA_GROUP}/${group}`, Number(pid), String(command)]);

function nspawn(pid: number, texts: readonly string[]): string[] {
  return texts.map((text, index) => `Nov 22 12:35:0${index < 7 ? 3 : 4} vm systemd-nspawn[${pid}]: ${text}`);
}

export const ALPHA: FakeMachine = {
  name: "alpha",
  id: "b80e713a47a14bd39c0eb134261a2c6a",
  class: "container",
  service: "systemd-nspawn",
  unit: "systemd-nspawn@alpha.service",
  subgroup: "payload",
  leader: 528,
  leaderName: "systemd",
  leaderPidfdId: 37628n,
  supervisor: 525,
  supervisorName: "systemd-nspawn",
  supervisorPidfdId: 37621n,
  root: "/var/lib/machines/alpha",
  since: 1795350902752697n,
  sinceMonotonic: 987029024n,
  interfaces: [3],
  addresses: [],
  osRelease: { ID: "debian", VERSION_ID: "12", PRETTY_NAME: "Debian GNU/Linux 12 (bookworm)" },
  uidShift: 1447690240,
  cgroup: ALPHA_GROUP,
  processes: ALPHA_PROCESSES,
  journal: nspawn(525, [
    "[  OK  ] Started console-getty.service - Console Getty.",
    "[  OK  ] Reached target getty.target - Login Prompts.",
    "[  OK  ] Started systemd-logind.service - User Login Management.",
    "[  OK  ] Reached target multi-user.target - Multi-User System.",
    "[  OK  ] Reached target graphical.target - Graphical Interface.",
    "         Starting systemd-update-utmp-runlev… Record Runlevel Change in UTMP...",
    "[  OK  ] Finished systemd-update-utmp-runlev… - Record Runlevel Change in UTMP.",
    "",
    "Debian GNU/Linux 12 alpha pts/0",
    "",
  ]),
};

/** alpha when its network was up: with four addresses. */
export const ALPHA_ONLINE: FakeMachine = { ...ALPHA, addresses: ALPHA_ADDRESSES };

/** alpha started again later, now also running a machine manager of its own. */
export const ALPHA_LATER: FakeMachine = {
  ...ALPHA,
  leader: 4550,
  supervisor: 4547,
  since: 1795351512752697n,
  processes: [
    ...ALPHA_PROCESSES.map(([group, pid, command]): FakeMachine["processes"][number] => [group, pid + 4022, command]),
    [`${ALPHA_GROUP}/payload/system.slice/systemd-machined.service`, 5005, "/lib/systemd/systemd-machined"],
  ],
  journal: ["Nov 22 12:45:13 vm systemd-nspawn[4547]: "],
};

export const MINI: FakeMachine = {
  ...ALPHA,
  name: "mini",
  id: "a4ee83daad35415699c806aad654ba43",
  unit: "mini.scope",
  subgroup: "",
  leader: 808,
  leaderName: "sleep",
  leaderPidfdId: 38466n,
  supervisor: 805,
  supervisorPidfdId: 38463n,
  root: "/var/lib/machines/mini",
  since: 1795350910500830n,
  sinceMonotonic: 994777157n,
  interfaces: [],
  addresses: null,
  osRelease: { ID: "minios", VERSION_ID: "1.0", PRETTY_NAME: "Mini OS 1.0 (test)" },
  uidShift: 0,
  cgroup: "/machine.slice/mini.scope",
  processes: [["/machine.slice/mini.scope/payload", 808, "/bin/sleep 100000"]],
  journal: [],
};

export const DELTA: FakeMachine = {
  ...MINI,
  name: "delta",
  id: "0102030405060708090a0b0c0d0e0f10",
  class: "vm",
  service: "my-vmm",
  unit: "machine-delta.scope",
  leader: 809,
  leaderPidfdId: 38587n,
  supervisor: 810,
  supervisorName: null,
  supervisorPidfdId: 38588n,
  root: "/srv",
  since: 1795350911972075n,
  sinceMonotonic: 996248402n,
  osRelease: null,
  cgroup: "/machine.slice/machine-delta.scope",
  processes: [["/machine.slice/machine-delta.scope", 809, "sleep 100000"]],
  journal: ["Nov 22 12:35:11 vm systemd[1]: Started machine-delta.scope - Virtual Machine delta."],
};

const HOST_SYSTEM = "/system.slice";

export const HOST: FakeMachine = {
  ...MINI,
  name: ".host",
  id: "daee751c587b4c9a8ee73ebf01103c18",
  class: "host",
  service: "",
  unit: "-.slice",
  leader: 1,
  leaderName: "systemd",
  leaderPidfdId: 33509n,
  supervisor: 0,
  supervisorPidfdId: 0n,
  root: "/",
  since: 1795349915723674n,
  sinceMonotonic: 0n,
  addresses: [],
  osRelease: { ID: "debian", PRETTY_NAME: "Debian GNU/Linux forky/sid" },
  cgroup: "/",
  processes: [
    ["/init.scope", 1, "/usr/lib/systemd/systemd"],
    ...ALPHA_PROCESSES,
    [`${HOST_SYSTEM}/console-getty.service`, 518, "bash /root/phase2.sh"],
    [`${HOST_SYSTEM}/console-getty.service`, 783, "machinectl status .host -n 0"],
    [
      `${HOST_SYSTEM}/console-getty.service`,
      42,
      "/usr/sbin/agetty --noreset --noclear --keep-baud 115200,57600,38400,9600 - xterm",
    ],
    [`${HOST_SYSTEM}/dbus.service`, 32, DBUS_COMMAND],
    [`${HOST_SYSTEM}/systemd-journald.service`, 15, "/usr/lib/systemd/systemd-journald"],
    [`${HOST_SYSTEM}/systemd-logind.service`, 33, "/usr/lib/systemd/systemd-logind"],
    [`${HOST_SYSTEM}/systemd-machined.service`, 46, "/usr/lib/systemd/systemd-machined"],
  ],
};

/** The properties of a machine's bus object, in the order of the manager of 262. */
export function machineProperties(machine: FakeMachine): Map<string, Variant> {
  const row = (name: string, signature: string, value: unknown): [string, Variant] => [
    name,
    new Variant(signature, value),
  ];
  return new Map([
    row("Name", "s", machine.name),
    row("Id", "ay", Buffer.from(machine.id, "hex")),
    row("Timestamp", "t", machine.since),
    row("TimestampMonotonic", "t", machine.sinceMonotonic),
    row("Service", "s", machine.service),
    row("Unit", "s", machine.unit),
    row("Subgroup", "s", machine.subgroup),
    row("Leader", "u", machine.leader),
    row("LeaderPIDFDId", "t", machine.leaderPidfdId),
    row("Supervisor", "u", machine.supervisor),
    row("SupervisorPIDFDId", "t", machine.supervisorPidfdId),
    row("Class", "s", machine.class),
    row("RootDirectory", "s", machine.root),
    row("NetworkInterfaces", "ai", [...machine.interfaces]),
    row("VSockCID", "u", 4294967295),
    row("SSHAddress", "s", ""),
    row("SSHPrivateKeyPath", "s", ""),
    row("State", "s", "running"),
    row("UID", "u", 0),
  ]);
}

/** The bytes of an address in text form. */
export function addressBytes(text: string): number[] {
  if (!text.includes(":")) return text.split(".").map(Number);
  const [head = "", tail = ""] = text.split("::");
  const groups = (part: string) => (part === "" ? [] : part.split(":").map((group) => Number.parseInt(group, 16)));
  const [left, right] = [groups(head), groups(tail)];
  const all = [...left, ...new Array<number>(8 - left.length - right.length).fill(0), ...right];
  return all.flatMap((group) => [group >> 8, group & 0xff]);
}
