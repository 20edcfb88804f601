// The files of install/ compared with the tables and with systemd's units.
import { describe, expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { BUS_TABLES, VARLINK_TABLES } from "../../install/generate/policies.ts";
import { type Access, rulesOf } from "../../src/api/access.ts";
import { Image, Machine, Manager } from "../../src/api/machine1.ts";
import type { BusMethod } from "../../src/api/table.ts";
import { actionIds } from "../../src/setup/polkit.ts";

const INSTALL = join(import.meta.dir, "../../install");
const SOURCES = join(import.meta.dir, "../../src");
const read = (path: string) => readFileSync(join(INSTALL, path), "utf8");

describe("the D-Bus policy", () => {
  const policy = read("dbus-1/system.d/org.freedesktop.machine1.conf");
  const allowed = [...policy.matchAll(/send_interface="(org\.freedesktop\.machine1\.[^"]+)" send_member="([^"]+)"/g)];

  test("allows exactly the calls of rows that are not privileged", () => {
    const inPolicy = allowed.map(([, iface, member]) => `${iface}.${member}`);
    const inTables = [Manager, Machine, Image].flatMap(({ name, methods }) =>
      Object.entries(methods as Readonly<Record<string, BusMethod>>).flatMap(([member, { access }]) =>
        access === "privileged" ? [] : [`${name}.${member}`],
      ),
    );
    expect(inPolicy.sort()).toEqual(inTables.sort());
  });

  test("lets everybody read properties, and only root set them", () => {
    expect(policy).toContain('send_interface="org.freedesktop.DBus.Properties" send_member="Get"');
    expect(policy).toContain('send_interface="org.freedesktop.DBus.Properties" send_member="GetAll"');
    expect(policy).not.toContain('send_member="Set"');
    const rules = policy.slice(policy.indexOf('<policy context="default">'));
    expect(rules.indexOf("<deny ")).toBeLessThan(rules.indexOf("<allow "));
  });
});

describe("the polkit policy", () => {
  const policy = read("polkit-1/actions/org.freedesktop.machine1.policy");

  /**
   * The defaults (any / inactive / active) of each action, which are the same in all releases since 252 that have it.
   */
  const administrator = ["auth_admin", "auth_admin", "auth_admin_keep"];
  const whoeverSitsThere = ["auth_admin", "auth_admin", "yes"];
  const DEFAULTS: Readonly<Record<string, string[]>> = {
    "create-machine": administrator,
    "host-login": whoeverSitsThere,
    "host-open-pty": administrator,
    "host-shell": administrator,
    "inspect-images": administrator,
    "inspect-machines": administrator,
    login: administrator,
    "manage-images": administrator,
    "manage-machines": administrator,
    "open-pty": administrator,
    "register-machine": whoeverSitsThere,
    shell: administrator,
  };

  test("has the actions of systemd 262 with their defaults", () => {
    const actions = policy.split("<action ").slice(1);
    const found = actions.map((action) => [
      /id="org\.freedesktop\.machine1\.([^"]+)"/.exec(action)?.[1],
      [...action.matchAll(/<allow_\w+>(\w+)</g)].map(([, value]) => value),
    ]);
    expect(Object.fromEntries(found)).toEqual(DEFAULTS);
  });

  test("has exactly the actions that rows of D-Bus and Varlink name, including those for the host", () => {
    const rows = [...Object.values(BUS_TABLES).flat(), ...VARLINK_TABLES].flatMap(({ methods }) =>
      Object.values(methods as Readonly<Record<string, { readonly access: Access }>>),
    );
    const named: string[] = rows
      .flatMap(({ access }) => rulesOf(access))
      .flatMap(([, { action, hostAction = action, instead }]) => [action, hostAction, instead?.action ?? action]);
    expect(named).toContain("org.freedesktop.machine1.host-open-pty");
    const installed = Object.keys(BUS_TABLES).flatMap((name) => actionIds(read(`polkit-1/actions/${name}.policy`)));
    expect([...new Set(named)].sort()).toEqual(installed.sort());
  });

  test("actions are named in the tables only, so that every check uses a row", () => {
    const found: string[] = [];
    for (const name of readdirSync(SOURCES, { recursive: true, encoding: "utf8" })) {
      // The tables, the names of errors, and the names of installed files.
      if (!name.endsWith(".ts") || /^(api|base|setup)\//.test(name)) continue;
      const source = readFileSync(join(SOURCES, name), "utf8");
      if (/org\.freedesktop\.(machine1|import1)\.[a-z$]/.test(source.replace(/^import .*$/gm, ""))) found.push(name);
    }
    expect(found).toEqual([]);
  });

  test("implies only actions that it declares", () => {
    const implied = [...policy.matchAll(/policykit\.imply">([^<]+)</g)].flatMap(([, ids]) => (ids ?? "").split(" "));
    const own = implied.filter((id) => id.startsWith("org.freedesktop.machine1."));
    expect(own.filter((id) => !actionIds(policy).includes(id))).toEqual([]);
  });
});

/** The settings of a unit file; the values of a key that occurs twice are joined. */
function settings(path: string): Readonly<Record<string, string>> {
  const found: Record<string, string> = {};
  for (const line of read(path).split("\n")) {
    const [, key = "", value = ""] = /^([A-Za-z]+)=(.*)$/.exec(line) ?? [];
    if (key !== "") found[key] = found[key] === undefined ? value : `${found[key]} ${value}`;
  }
  return found;
}

describe("the units", () => {
  const service = settings("systemd/systemd-machined.service");

  test("the service has systemd's sandbox, except that executable memory is allowed", () => {
    expect(service).toMatchObject({
      IPAddressDeny: "any",
      LockPersonality: "yes",
      NoNewPrivileges: "yes",
      ProtectHostname: "yes",
      RestrictAddressFamilies: "AF_UNIX AF_NETLINK AF_INET AF_INET6",
      RestrictRealtime: "yes",
      SystemCallArchitectures: "native",
      SystemCallErrorNumber: "EPERM",
      SystemCallFilter: "@system-service @mount",
      WatchdogSec: "3min",
    });
    expect(Object.keys(service)).not.toContain("MemoryDenyWriteExecute");
  });

  test("a worker that the kernel kills for lack of memory does not end its daemon", () => {
    for (const name of ["systemd-machined", "systemd-importd", "machined-exec"]) {
      expect(settings(`systemd/${name}.service`)["OOMPolicy"]).toBe("continue");
    }
  });

  test("the service has systemd's capabilities, and CAP_SETUID and CAP_SETFCAP", () => {
    expect(service["CapabilityBoundingSet"]?.split(" ").sort()).toEqual(
      [
        "CAP_CHOWN",
        "CAP_DAC_OVERRIDE",
        "CAP_DAC_READ_SEARCH",
        "CAP_FOWNER",
        "CAP_FSETID",
        "CAP_KILL",
        "CAP_LINUX_IMMUTABLE",
        "CAP_MKNOD",
        "CAP_SETFCAP",
        "CAP_SETGID",
        "CAP_SETUID",
        "CAP_SYS_ADMIN",
        "CAP_SYS_CHROOT",
        "CAP_SYS_PTRACE",
      ].sort(),
    );
  });

  test("the service starts the daemon, has its bus name, and is ordered after the mount of the pool", () => {
    expect(service).toMatchObject({
      BusName: "org.freedesktop.machine1",
      ExecStart: "/usr/local/lib/machined/systemd-machined",
      RequiresMountsFor: "/var/lib/machines",
      Wants: "machine.slice",
    });
    // With RuntimeDirectory=, each restart of the daemon would remove files that must survive it.
    expect(Object.keys(service)).not.toContain("RuntimeDirectory");
  });

  test("the socket has the path that clients of 258 and later connect to", () => {
    expect(settings("systemd/systemd-machined.socket")).toMatchObject({
      FileDescriptorName: "varlink",
      ListenStream: "/run/systemd/machine/io.systemd.Machine",
      SocketMode: "0666",
    });
    expect(settings("systemd/systemd-machined.socket")["Symlinks"]?.split(" ")).toEqual([
      "/run/systemd/machine/io.systemd.MachineImage",
      "/run/varlink/registry/io.systemd.Machine",
      "/run/varlink/registry/io.systemd.MachineImage",
    ]);
  });

  test("activation of the bus name starts the unit by its alias (M1)", () => {
    expect(settings("dbus-1/system-services/org.freedesktop.machine1.service")).toMatchObject({
      Exec: "/bin/false",
      Name: "org.freedesktop.machine1",
      SystemdService: "dbus-org.freedesktop.machine1.service",
      User: "root",
    });
  });

  test("every unit has a description", () => {
    // Drop-ins (.conf) extend a unit of the host.
    const units = readdirSync(join(INSTALL, "systemd")).filter((name) => !name.endsWith(".conf"));
    for (const name of units) {
      expect(settings(`systemd/${name}`)["Description"]).toBeTruthy();
    }
  });
});

test("no Varlink interface of src/api is missing in docs/actions.md", async () => {
  const folder = join(import.meta.dir, "../../src/api/varlink");
  const modules = await Promise.all(readdirSync(folder).map((name) => import(join(folder, name))));
  // io.systemd has errors only.
  const defined = modules.flatMap((one) => Object.values(one as Record<string, { name: string; methods: object }>));
  const names = defined.filter(({ methods }) => Object.keys(methods ?? {}).length > 0).map(({ name }) => name);
  expect(VARLINK_TABLES.map(({ name }) => name).toSorted()).toEqual(names.toSorted());
});
