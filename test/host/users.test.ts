// The daemons of one user (`--user`), started by the user's service manager and bus as `machined install` arranges it.
import { afterAll, beforeAll, expect, test } from "bun:test";
import { Bed, isStock, systemdVersion } from "../lib/bed.ts";
import { GUARD_MS } from "../lib/wait-for.ts";

const TIMEOUT_MS = GUARD_MS;
const isLeftOut = isStock || systemdVersion !== 252;
const reason = isStock
  ? " (left out: the original has none before 259)"
  : isLeftOut
    ? " (left out: in a bed of this release no user's service manager starts)"
    : "";

let bed: Bed;

beforeAll(async () => {
  if (isLeftOut) return;
  bed = await Bed.boot("users", ["dbus-user-session", "libpam-systemd"]);
  await bed.install();
  await bed.run(`useradd -m joe && loginctl enable-linger joe
    until [ -S /run/user/1000/bus ]; do sleep .1; done`);
}, TIMEOUT_MS);

afterAll(() => bed?.stop(), GUARD_MS);

/** Runs a script as the user, with the address of the user's bus. */
function asUser(script: string): Promise<string> {
  const wrapped = Buffer.from(script).toString("base64");
  return bed.run(`setpriv --reuid joe --regid joe --init-groups env HOME=/home/joe XDG_RUNTIME_DIR=/run/user/1000 \
    DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/1000/bus bash -c "$(base64 -d <<<'${wrapped}')"`);
}

const usersTest = test.skipIf(isLeftOut);

usersTest(
  `a call on the user's bus starts the user's daemon${reason}`,
  async () => {
    expect(await asUser("machinectl --user list")).toBe("No machines.");
    const exe = "readlink /proc/$(systemctl --user show -P MainPID systemd-machined.service)/exe";
    expect(await asUser(exe)).toBe("/usr/local/lib/machined/machined");
    expect(await asUser("importctl --user list-transfers")).toBe("No transfers.");
  },
  TIMEOUT_MS,
);

usersTest(
  `a connection to its socket starts the user's daemon${reason}`,
  async () => {
    const output = await asUser(`systemctl --user stop systemd-machined.service 2>/dev/null
      systemctl --user start systemd-machined.socket; stat -c %a $XDG_RUNTIME_DIR/systemd/machine/io.systemd.Machine
      python3 -c '
import os, socket
s = socket.socket(socket.AF_UNIX)
s.connect(os.environ["XDG_RUNTIME_DIR"] + "/systemd/machine/io.systemd.Machine")
s.send(b"{\\"method\\":\\"io.systemd.Machine.List\\",\\"parameters\\":{\\"name\\":\\"x\\"}}\\0")
print(s.recv(4096).decode().rstrip("\\0"))'
      systemctl --user is-active systemd-machined.service`);
    expect(output.split("\n")).toEqual([
      "600",
      expect.stringContaining('"error":"io.systemd.Machine.NoSuchMachine"'),
      "active",
    ]);
  },
  TIMEOUT_MS,
);

usersTest(
  `a user's machine can be registered, shown and terminated, and is unknown to the system's daemon${reason}`,
  async () => {
    const output = await asUser(`systemd-run --user --unit=guest -q sleep 600
      busctl --user call org.freedesktop.machine1 /org/freedesktop/machine1 org.freedesktop.machine1.Manager \
        RegisterMachine sayssus guest 0 test container $(systemctl --user show -P MainPID guest) / >/dev/null
      machinectl --user list --no-legend; machinectl --system list
      machinectl --user terminate guest
      until [ "$(machinectl --user list)" = "No machines." ]; do sleep .1; done
      machinectl --user list`);
    expect(output.replaceAll(/ +/g, " ").split("\n")).toEqual([
      expect.stringContaining("guest container test"),
      "No machines.",
      "No machines.",
    ]);
  },
  TIMEOUT_MS,
);

usersTest(
  `root reaches a user's machines by --user -M USER@, and not the system's machine of the same name${reason}`,
  async () => {
    await bed.inner("guest");
    await bed.run("machinectl start guest");
    await asUser(`systemd-run --user --unit=guest -q sleep 600
      busctl --user call org.freedesktop.machine1 /org/freedesktop/machine1 org.freedesktop.machine1.Manager \
        RegisterMachine sayssus guest 0 test container $(systemctl --user show -P MainPID guest) / >/dev/null`);
    const output =
      await bed.run(`machinectl --user -M joe@ list --no-legend; machinectl --user -M 1000@.host show -P Service guest
      env USER=joe LOGNAME=joe HOME=/home/joe machinectl -M @.host list --no-legend
      machinectl --user -M joe@.host terminate guest
      until [ "$(machinectl --user -M joe@ list)" = "No machines." ]; do sleep .1; done
      machinectl --user -M joe@ list; machinectl show -P State guest`);
    expect(output.replaceAll(/ +/g, " ").split("\n")).toEqual([
      expect.stringContaining("guest container test"),
      "test",
      expect.stringContaining("guest container systemd-nspawn"),
      "No machines.",
      "running",
    ]);
  },
  TIMEOUT_MS,
);

usersTest(`when a user has no bus, the error says so, and no other bus is called${reason}`, async () => {
  const { code, output } = await bed.exec("machinectl --user -M jam@ list");
  expect(code).toBe(1);
  expect(output).toContain("systemd-run reached no user bus as user 'jam' of this host");
});

usersTest(`for a user without a service manager the client fails at once${reason}`, async () => {
  const { code, output } = await bed.exec(
    "useradd -m jim; setpriv --reuid jim --regid jim --init-groups env -i PATH=$PATH machinectl --user list",
  );
  expect(code).not.toBe(0);
  expect(output).toContain("Failed to connect to user scope bus via local transport");
});
