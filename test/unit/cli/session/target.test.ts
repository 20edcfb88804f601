import { describe, expect, test } from "bun:test";
import type { ErrnoError } from "../../../../src/base/error.ts";
import { Failure } from "../../../../src/cli/session/failure.ts";
import { defaultSettings, type Settings, type Transport } from "../../../../src/cli/session/settings.ts";
import {
  busTarget,
  type Caller,
  isOfThisHost,
  managerDirectory,
  meansLocalSockets,
  parseRemote,
  remoteHost,
} from "../../../../src/cli/session/target.ts";
import { type BusTarget, bridgeCommand } from "../../../../src/ipc/bus/transport.ts";

describe("-H (C124)", () => {
  const good: [text: string, target: object][] = [
    ["host", { host: "host" }],
    ["joe@host", { host: "joe@host" }],
    ["joe@host:2222/cont", { host: "joe@host", port: "2222", machine: "cont" }],
    ["host/cont", { host: "host", machine: "cont" }],
    ["host:cont", { host: "host", machine: "cont" }],
    ["host:22", { host: "host", port: "22" }],
    ["[::1]", { host: "::1" }],
    ["joe@[fe80::1%eth0]:22/c", { host: "joe@fe80::1%eth0", port: "22", machine: "c" }],
  ];
  for (const [text, target] of good) {
    test(text, () => expect(parseRemote(text)).toEqual({ kind: "ssh", ...target } as never));
  }

  for (const text of ["foo@@bar", "x@", "@x", "", "host/", "host:", "host:a/b", "host/a b", "[::1", "a:b:c"]) {
    test(`'${text}' is refused`, () =>
      expect(() => parseRemote(text)).toThrow(expect.objectContaining({ errnoName: "EINVAL" })));
  }
});

const ROOT = { uid: 0, name: "root" };
const U1 = { uid: 1000, name: "u1" };

const login = (machine: string, user: string) => `systemd-run -M${machine} -PGq --wait -pUser=${user} -pPAMName=login`;
const BRIDGE = "systemd-stdio-bridge";
/**
 * On hosts without a bus, machined's bridge; on all others the bridge that systemd names
 * (docs/decisions/0013-bridge.md).
 */
const BUS_OR_BRIDGE = `sh -c '[ -S /run/dbus/system_bus_socket ] || ! command -v machined >/dev/null || exec machined bridge; exec ${BRIDGE}'`;
// biome-ignore lint/suspicious/noTemplateCurlyInString: the service manager replaces it
const USER_BUS = "-punix:path=${XDG_RUNTIME_DIR}/bus";

/** Where a connection goes, in words: `bus SCOPE` of this process, `socket MACHINE`, a command, or an errno. */
async function roadOf(transport: Transport, scope: Settings["scope"], caller: Caller): Promise<string> {
  let target: BusTarget;
  try {
    target = await busTarget({ transport, scope }, async () => caller);
  } catch (error) {
    return (error as ErrnoError).errnoName;
  }
  if (target.kind === "login" || target.kind === "ssh") return (await bridgeCommand(target)).join(" ");
  return target.kind === "machine" ? `socket ${target.name}` : `bus ${target.kind}`;
}

/**
 * What machinectl of 252 and 262 and, for the user's scope, systemctl of 252 do, recorded with a systemd-run that
 * prints its arguments.
 */
const machines: readonly [caller: Caller, name: string, system: string, user: string][] = [
  [ROOT, ".host", "bus system", "bus user"],
  [ROOT, "@.host", "bus system", "bus user"],
  // EINVAL before 258.
  [ROOT, "@", "bus system", "bus user"],
  [ROOT, "root@", "bus system", "bus user"],
  [ROOT, "root@.host", "bus system", "bus user"],
  [ROOT, "0@.host", "bus system", "bus user"],
  [ROOT, "u1@", `${login(".host", "u1")} ${BRIDGE}`, `${login(".host", "u1")} ${BRIDGE} ${USER_BUS}`],
  [ROOT, "u1@.host", `${login(".host", "u1")} ${BRIDGE}`, `${login(".host", "u1")} ${BRIDGE} ${USER_BUS}`],
  [ROOT, "1000@.host", `${login(".host", "1000")} ${BRIDGE}`, `${login(".host", "1000")} ${BRIDGE} ${USER_BUS}`],
  [ROOT, "deb1", "socket deb1", `${login("deb1", "root")} ${BRIDGE} ${USER_BUS}`],
  [ROOT, "@deb1", `${login("deb1", "root")} ${BRIDGE}`, `${login("deb1", "root")} ${BRIDGE} ${USER_BUS}`],
  [ROOT, "root@deb1", `${login("deb1", "root")} ${BRIDGE}`, `${login("deb1", "root")} ${BRIDGE} ${USER_BUS}`],
  [ROOT, "u1@deb1", `${login("deb1", "u1")} ${BRIDGE}`, `${login("deb1", "u1")} ${BRIDGE} ${USER_BUS}`],
  [U1, ".host", "bus system", `${login(".host", "root")} ${BRIDGE} ${USER_BUS}`],
  [U1, "@.host", "bus system", "bus user"],
  [U1, "u1@", "bus system", "bus user"],
  [U1, "u1@.host", "bus system", "bus user"],
  [U1, "1000@.host", "bus system", "bus user"],
  [U1, "root@", `${login(".host", "root")} ${BRIDGE}`, `${login(".host", "root")} ${BRIDGE} ${USER_BUS}`],
  [U1, "0@.host", `${login(".host", "0")} ${BRIDGE}`, `${login(".host", "0")} ${BRIDGE} ${USER_BUS}`],
  [U1, "u2@", `${login(".host", "u2")} ${BRIDGE}`, `${login(".host", "u2")} ${BRIDGE} ${USER_BUS}`],
  [U1, "deb1", "socket deb1", `${login("deb1", "root")} ${BRIDGE} ${USER_BUS}`],
  [U1, "@deb1", `${login("deb1", "u1")} ${BRIDGE}`, `${login("deb1", "u1")} ${BRIDGE} ${USER_BUS}`],
  [U1, "root@deb1", `${login("deb1", "root")} ${BRIDGE}`, `${login("deb1", "root")} ${BRIDGE} ${USER_BUS}`],
  ...[ROOT, U1].flatMap((caller) =>
    ["", "x/y", "u1@x/y", "u1@@", "a b", "-x", ".hidden"].map(
      (name) => [caller, name, "EINVAL", "EINVAL"] as [Caller, string, string, string],
    ),
  ),
];

describe("every combination of scope, -M and user (C126)", () => {
  for (const [caller, name, system, user] of machines) {
    for (const [scope, road] of [["system", system] as const, ["user", user] as const]) {
      test(`${caller.name}: --${scope} -M '${name}' is ${road}`, async () => {
        expect(await roadOf({ kind: "machine", name }, scope, caller)).toBe(road);
      });
    }
  }
});

describe("every combination of scope and -H", () => {
  const hosts: readonly [host: string, system: string][] = [
    ["h", `ssh -xT -- h ${BUS_OR_BRIDGE}`],
    ["u@h", `ssh -xT -- u@h ${BUS_OR_BRIDGE}`],
    ["h:22", `ssh -xT -p 22 -- h ${BUS_OR_BRIDGE}`],
    ["h:m", `ssh -xT -- h ${BRIDGE} --machine=m`],
    ["h/m", `ssh -xT -- h ${BRIDGE} --machine=m`],
    ["u@h:22/m", `ssh -xT -p 22 -- u@h ${BRIDGE} --machine=m`],
  ];
  for (const [host, road] of hosts) {
    test(`--system -H ${host}`, async () => expect(await roadOf({ kind: "remote", host }, "system", ROOT)).toBe(road));
    test(`--user -H ${host} is refused: there is no user's bus to reach`, async () =>
      expect(await roadOf({ kind: "remote", host }, "user", ROOT)).toBe("EOPNOTSUPP"));
  }
});

test("without -H and -M the caller's own bus of the scope is used", async () => {
  expect(await roadOf({ kind: "local" }, "system", U1)).toBe("bus system");
  expect(await roadOf({ kind: "local" }, "user", U1)).toBe("bus user");
});

test("sockets are below the runtime directory of the scope, which the environment can change", () => {
  expect(managerDirectory("system", {})).toBe("/run/systemd/machine");
  expect(managerDirectory("system", { MACHINED_RUNTIME_DIRECTORY: "/tmp/x" })).toBe("/tmp/x/machine");
  expect(managerDirectory("user", { XDG_RUNTIME_DIR: "/run/user/7" })).toBe("/run/user/7/systemd/machine");
  expect(managerDirectory("user", {})).toBeNull();
});

test("local sockets are not used where the environment names a bus, unless it names the directory of the sockets as well", () => {
  const bus = { DBUS_SYSTEM_BUS_ADDRESS: "unix:path=/x" };
  expect(meansLocalSockets(defaultSettings(), {})).toBe(true);
  expect(meansLocalSockets(defaultSettings(), bus)).toBe(false);
  expect(meansLocalSockets(defaultSettings(), { ...bus, MACHINED_RUNTIME_DIRECTORY: "/tmp/x" })).toBe(true);
  expect(meansLocalSockets({ ...defaultSettings(), transport: { kind: "machine", name: "a" } }, {})).toBe(false);
});

test("verbs that reach a host themselves fail for a name that no host can have", () => {
  const complaint = "Failed to connect to system scope bus via remote transport: Invalid argument";
  expect(() => remoteHost("a@")).toThrow(new Failure(complaint));
});

test("numbers of processes are those of this host without -H and -M, and with -M for a manager of this host", () => {
  const isHere = (transport: Settings["transport"]) => isOfThisHost({ transport });
  expect(isHere({ kind: "local" })).toBe(true);
  expect(isHere({ kind: "remote", host: "a" })).toBe(false);
  for (const name of [".host", "u@.host", "@.host", "@", "u@"])
    expect([name, isHere({ kind: "machine", name })]).toEqual([name, true]);
  for (const name of ["web", "u@web", "@web", ""])
    expect([name, isHere({ kind: "machine", name })]).toEqual([name, false]);
});
