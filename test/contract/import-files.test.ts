// The files of install/ for the transfer daemon compared with the tables and with systemd's files.
import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Access } from "../../src/api/access.ts";
import { ImportManager, Transfer } from "../../src/api/import1.ts";

const INSTALL = join(import.meta.dir, "../../install");
const read = (path: string) => readFileSync(join(INSTALL, path), "utf8");

test("I29 the D-Bus policy allows exactly the calls that the tables open to everybody, also ListImages of the manager", () => {
  const policy = read("dbus-1/system.d/org.freedesktop.import1.conf");
  const allowed = policy.matchAll(/send_interface="(org\.freedesktop\.import1\.[^"]+)" send_member="([^"]+)"/g);
  const open = [ImportManager, Transfer].flatMap(({ name, methods }) =>
    Object.entries(methods).flatMap(([member, row]) =>
      row.access === ("privileged" as Access) ? [] : [`${name}.${member}`],
    ),
  );
  expect(Array.from(allowed, ([, iface, member]) => `${iface}.${member}`).sort()).toEqual(open.sort());
  expect(open).toContain("org.freedesktop.import1.Manager.ListImages");
  expect(policy).not.toContain('send_member="Set"');
});

test("the polkit actions have systemd's defaults, for administrators only", () => {
  const policy = read("polkit-1/actions/org.freedesktop.import1.policy");
  const actions = policy.split("<action ").slice(1);
  const found = actions.map((action) => [
    /id="org\.freedesktop\.import1\.([^"]+)"/.exec(action)?.[1],
    [...action.matchAll(/<allow_\w+>(\w+)</g)].map(([, value]) => value).join(" "),
  ]);
  const administrator = "auth_admin auth_admin auth_admin_keep";
  expect(found).toEqual(["import", "export", "pull", "cancel"].map((name) => [name, administrator]));
});

/** The settings of a unit file. */
function settings(path: string): Readonly<Record<string, string>> {
  return Object.fromEntries(
    read(path)
      .split("\n")
      .flatMap((line) => {
        const match = /^([A-Za-z]+)=(.*)$/.exec(line);
        return match === null ? [] : [[match[1] ?? "", match[2] ?? ""]];
      }),
  );
}

describe("the units", () => {
  const service = settings("systemd/systemd-importd.service");

  test("I39 I40 the service has systemd's sandbox, except that executable memory is allowed", () => {
    expect(service).toMatchObject({
      BusName: "org.freedesktop.import1",
      ExecStart: "/usr/local/lib/machined/systemd-importd",
      KillMode: "mixed",
      LockPersonality: "yes",
      NoNewPrivileges: "yes",
      ProtectHostname: "yes",
      RestrictAddressFamilies: "AF_UNIX AF_INET AF_INET6",
      RestrictNamespaces: "net",
      RestrictRealtime: "yes",
      SystemCallArchitectures: "native",
      SystemCallErrorNumber: "EPERM",
      SystemCallFilter: "@system-service @mount",
      Type: "notify",
      WatchdogSec: "3min",
    });
    expect(Object.keys(service)).not.toContain("MemoryDenyWriteExecute");
  });

  test("the service has systemd's capabilities and CAP_DAC_READ_SEARCH", () => {
    const original = "CHOWN FOWNER FSETID MKNOD SETFCAP SYS_ADMIN SETPCAP DAC_OVERRIDE DAC_READ_SEARCH LINUX_IMMUTABLE";
    expect(service["CapabilityBoundingSet"]?.split(" ")).toEqual(original.split(" ").map((name) => `CAP_${name}`));
  });

  test("I41 the socket has the path that clients of 257 and later connect to", () => {
    expect(settings("systemd/systemd-importd.socket")).toMatchObject({
      FileDescriptorName: "varlink",
      ListenStream: "/run/systemd/io.systemd.Import",
      SocketMode: "0666",
      Symlinks: "/run/varlink/registry/io.systemd.Import",
    });
  });

  test("activation of the bus name starts the unit by its alias", () => {
    expect(settings("dbus-1/system-services/org.freedesktop.import1.service")).toEqual({
      Name: "org.freedesktop.import1",
      Exec: "/bin/false",
      User: "root",
      SystemdService: "dbus-org.freedesktop.import1.service",
    });
  });
});
