// machined install and uninstall on trees of files (--root); the host suite tests running hosts.
import { afterEach, beforeEach, expect, spyOn, test } from "bun:test";
import * as fs from "node:fs";
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { Host } from "../../../src/setup/host.ts";
import { install } from "../../../src/setup/install.ts";
import { actionIds } from "../../../src/setup/polkit.ts";
import { uninstall } from "../../../src/setup/uninstall.ts";

let top = "";
let root = "";
let source = "";

beforeEach(() => {
  top = mkdtempSync(join(tmpdir(), "machined-setup-"));
  root = join(top, "root");
  source = join(top, "machined");
  mkdirSync(root);
  put(source, "the executable, version 1");
});

afterEach(() => rmSync(top, { recursive: true }));

function put(path: string, text = ""): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
}

/** Every path of the tree with its kind, mode and content. */
function snapshot(directory = root): string[] {
  return readdirSync(directory, { recursive: true, encoding: "utf8" })
    .sort()
    .map((name) => {
      const path = join(directory, name);
      const status = lstatSync(path);
      const mode = (status.mode & 0o7777).toString(8);
      if (status.isSymbolicLink()) return `${name} -> ${readlinkSync(path)}`;
      return status.isDirectory() ? `${name}/ ${mode}` : `${name} ${mode} ${readFileSync(path, "utf8")}`;
    });
}

function installed(options: { dryRun?: boolean } = {}): string[] {
  const lines: string[] = [];
  const say = (line: string) => lines.push(line.replaceAll(root, ""));
  install({ host: new Host(root), source, now: false, dryRun: options.dryRun ?? false, say });
  return lines;
}

function uninstalled(): string[] {
  const lines: string[] = [];
  uninstall({ host: new Host(root), now: false, say: (line) => lines.push(line.replaceAll(root, "")) });
  return lines;
}

const ACTIONS = "usr/share/polkit-1/actions";
const UNITS = "usr/lib/systemd/system";
const USER_UNITS = "usr/lib/systemd/user";

/** A host with systemd, a bus and polkit, whose distribution has no machined. */
function bareHost(): void {
  put(join(root, "usr/lib/systemd/systemd"));
  mkdirSync(join(root, "usr/share/dbus-1/system-services"), { recursive: true });
  mkdirSync(join(root, ACTIONS), { recursive: true });
  mkdirSync(join(root, "etc"));
}

/** A host whose distribution has a machined and an importd of systemd 262. */
function stockHost(): void {
  bareHost();
  const imports = ["systemd-importd.service", "systemd-importd.socket"];
  const machines = ["machine.slice", "machines.target", "systemd-machined.service", "systemd-machined.socket"];
  for (const unit of [...machines, ...imports]) {
    put(join(root, UNITS, unit), `the distribution's ${unit}`);
    if (unit !== "machines.target") put(join(root, USER_UNITS, unit), `the distribution's ${unit} for users`);
  }
  for (const [name, unit] of [
    ["machine1", "systemd-machined.service"],
    ["import1", "systemd-importd.service"],
  ] as const) {
    symlinkSync(unit, join(root, UNITS, `dbus-org.freedesktop.${name}.service`));
    symlinkSync(unit, join(root, USER_UNITS, `dbus-org.freedesktop.${name}.service`));
    put(join(root, `usr/share/dbus-1/services/org.freedesktop.${name}.service`), "the distribution's");
  }
  put(join(root, "usr/share/dbus-1/system-services/org.freedesktop.machine1.service"), "the distribution's");
  put(join(root, "usr/share/dbus-1/system-services/org.freedesktop.import1.service"), "the distribution's");
  for (const worker of ["systemd-pull", "systemd-import", "systemd-import-fs", "systemd-export"]) {
    put(join(root, "usr/lib/systemd", worker), "the distribution's");
  }
  put(join(root, "usr/lib/tmpfiles.d/systemd-nspawn.conf"), "the distribution's");
  put(join(root, "usr/bin/machinectl"), "the distribution's");
}

test("a host without systemd gets only the executable and links to it", () => {
  const lines = installed();
  expect(readFileSync(join(root, "usr/local/lib/machined/machined"), "utf8")).toBe("the executable, version 1");
  expect(lstatSync(join(root, "usr/local/lib/machined/machined")).mode & 0o777).toBe(0o755);
  for (const name of [
    "usr/local/bin/machinectl",
    "usr/local/bin/machined",
    "usr/local/lib/machined/systemd-machined",
  ]) {
    expect(readFileSync(join(root, name), "utf8")).toBe("the executable, version 1");
  }
  expect(existsSync(join(root, "etc"))).toBe(false);
  expect(lines.at(-1)).toBe(
    "This host does not boot systemd. Start the daemon with '/usr/local/lib/machined/systemd-machined'",
  );
});

test("a host without a distribution's machined gets units, policies and all other files", () => {
  bareHost();
  installed();
  for (const path of [
    "etc/systemd/system/systemd-machined.service",
    "etc/systemd/system/systemd-machined.socket",
    "etc/systemd/system/machine.slice",
    "etc/systemd/system/machines.target",
    "etc/tmpfiles.d/machined.conf",
    "etc/dbus-1/system.d/org.freedesktop.machine1.conf",
    "usr/local/share/dbus-1/system-services/org.freedesktop.machine1.service",
    "etc/systemd/user/systemd-machined.service",
    "etc/systemd/user/sockets.target.wants/systemd-machined.socket",
    "etc/systemd/user/dbus-org.freedesktop.import1.service",
    "usr/local/share/dbus-1/services/org.freedesktop.machine1.service",
    `${ACTIONS}/machined.policy`,
  ]) {
    // The target of a link is a path of the host.
    expect(lstatSync(join(root, path), { throwIfNoEntry: false })).toBeDefined();
  }
  expect(readlinkSync(join(root, "etc/systemd/system/sockets.target.wants/systemd-machined.socket"))).toBe(
    "/etc/systemd/system/systemd-machined.socket",
  );
  expect(readlinkSync(join(root, "etc/systemd/system/dbus-org.freedesktop.machine1.service"))).toBe(
    "/etc/systemd/system/systemd-machined.service",
  );
});

/** The units that a preset enables and disables. */
function presetsOf(path: string): { enable: string[]; disable: string[] } {
  const lines = readFileSync(join(root, path), "utf8").split("\n");
  const of = (word: string) =>
    lines.filter((line) => line.startsWith(`${word} `)).map((line) => line.split(" ")[1] ?? "");
  return { enable: of("enable").sort(), disable: of("disable").sort() };
}

test.each(["system", "user"])("the preset for a %s enables what the installation enables, and nothing else", (kind) => {
  bareHost();
  installed();
  const units = join(root, "etc/systemd", kind);
  const all = readdirSync(units, { withFileTypes: true });
  const installable = all.filter((one) => {
    return one.isFile() && readFileSync(join(units, one.name), "utf8").includes("\n[Install]\n");
  });
  const wanting = all.filter(({ name }) => name.endsWith(".wants"));
  const enabled = wanting.flatMap(({ name }) => readdirSync(join(units, name))).sort();
  const { enable, disable } = presetsOf(`usr/local/lib/systemd/${kind}-preset/80-machined.preset`);
  expect(enable).toEqual(enabled);
  expect([...enable, ...disable].sort()).toEqual(installable.map(({ name }) => name).sort());
});

test("files of the distribution are neither overwritten nor duplicated", () => {
  stockHost();
  const before = snapshot();
  installed();
  const after = snapshot();
  expect(before.filter((line) => !after.includes(line))).toEqual([]);
  const made = after.filter((line) => !before.includes(line)).map((line) => line.split(" ")[0]);
  expect(made.filter((path) => path?.startsWith("etc/systemd"))).toEqual([
    "etc/systemd/",
    "etc/systemd/system/",
    "etc/systemd/system/machined-exec.service",
    "etc/systemd/system/machined-exec.socket",
    "etc/systemd/system/machined-fleet.service",
    "etc/systemd/system/machined-metrics-textfile.service",
    "etc/systemd/system/machined-metrics-textfile.timer",
    "etc/systemd/system/machined-metrics.service",
    "etc/systemd/system/machined-metrics.socket",
    "etc/systemd/system/sockets.target.wants/",
    "etc/systemd/system/sockets.target.wants/machined-exec.socket",
    "etc/systemd/system/systemd-importd.service",
    "etc/systemd/system/systemd-machined.service",
    "etc/systemd/user/",
    "etc/systemd/user/systemd-importd.service",
    "etc/systemd/user/systemd-machined.service",
  ]);
  expect(made).not.toContain("etc/tmpfiles.d/machined.conf");
  expect(made).not.toContain("usr/local/share/dbus-1/");
});

test("only those polkit actions are added that the host lacks", () => {
  bareHost();
  const action = (name: string) => `<action id="org.freedesktop.machine1.${name}"></action>`;
  put(join(root, ACTIONS, "org.freedesktop.machine1.policy"), action("login") + action("shell"));
  installed();
  const ids = actionIds(readFileSync(join(root, ACTIONS, "machined.policy"), "utf8"));
  expect(ids).not.toContain("org.freedesktop.machine1.login");
  expect(ids).toContain("org.freedesktop.machine1.register-machine");
  expect(ids).toHaveLength(10);

  const all = ids.map((id) => `<action id="${id}"></action>`).join("");
  put(join(root, ACTIONS, "org.freedesktop.machine1.policy"), action("login") + action("shell") + all);
  installed();
  expect(existsSync(join(root, ACTIONS, "machined.policy"))).toBe(false);
});

test("a policy file that is a link to nothing declares no actions, and is no error", () => {
  bareHost();
  symlinkSync("/nowhere", join(root, ACTIONS, "theirs.policy"));
  installed();
  expect(existsSync(join(root, ACTIONS, "machined.policy"))).toBe(true);
});

test("uninstalling restores the tree, with and without files of the distribution", () => {
  for (const host of [() => {}, bareHost, stockHost]) {
    rmSync(root, { recursive: true });
    mkdirSync(root);
    host();
    const before = snapshot();
    installed();
    expect(snapshot()).not.toEqual(before);
    uninstalled();
    expect(snapshot()).toEqual(before);
  }
});

test("installing again changes nothing, and prints that everything exists", () => {
  bareHost();
  installed();
  const before = snapshot();
  const lines = installed();
  expect(snapshot()).toEqual(before);
  expect(lines.slice(0, -1).every((line) => line.startsWith("exists"))).toBe(true);
});

test("uninstalling again prints that nothing is installed", () => {
  installed();
  uninstalled();
  expect(uninstalled()).toEqual(["Nothing is installed"]);
});

test("a newer version replaces the executable and removes files that it does not need any more", () => {
  bareHost();
  installed();
  const manifest = join(root, "usr/local/lib/machined/manifest.json");
  put(join(root, "etc/old/leftover"), "x");
  const { format, made } = JSON.parse(readFileSync(manifest, "utf8"));
  const sha256 = new Bun.CryptoHasher("sha256").update("x").digest("hex");
  made.unshift({ kind: "directory", path: "/etc/old" }, { kind: "file", path: "/etc/old/leftover", sha256 });
  writeFileSync(manifest, JSON.stringify({ format, made }));

  put(source, "the executable, version 2");
  const lines = installed();
  expect(lines).toContain("replaced /usr/local/lib/machined/machined");
  expect(readFileSync(join(root, "usr/local/lib/machined/machined"), "utf8")).toBe("the executable, version 2");
  expect(existsSync(join(root, "etc/old"))).toBe(false);
});

test("a dry run prints what it would do and does nothing", () => {
  bareHost();
  const before = snapshot();
  expect(installed({ dryRun: true })).toContain("would make /etc/systemd/system/systemd-machined.service");
  expect(snapshot()).toEqual(before);
});

test("an existing file of another origin is an error, and nothing is created", () => {
  bareHost();
  put(join(root, "usr/local/bin/machinectl"), "a script of the administrator");
  const before = snapshot();
  expect(() => installed()).toThrow(
    /usr\/local\/bin\/machinectl' is in the way and not from 'machined install': move it away/,
  );
  expect(snapshot()).toEqual(before);
});

test("a masked unit is an error with the command that helps", () => {
  bareHost();
  mkdirSync(join(root, "etc/systemd/system"), { recursive: true });
  symlinkSync("/dev/null", join(root, "etc/systemd/system/systemd-machined.service"));
  expect(() => installed()).toThrow("systemctl unmask systemd-machined.service");
});

test("a file that was edited after the installation is kept under another name", () => {
  bareHost();
  installed();
  const unit = join(root, "etc/systemd/system/systemd-machined.service");
  writeFileSync(unit, "edited");
  expect(installed()).toContain(
    "kept     /etc/systemd/system/systemd-machined.service.saved (it was changed after the installation)",
  );
  expect(readFileSync(unit, "utf8")).not.toBe("edited");
  expect(readFileSync(`${unit}.saved`, "utf8")).toBe("edited");

  writeFileSync(unit, "edited again");
  installed();
  writeFileSync(unit, "edited for the last time");
  uninstalled();
  expect(existsSync(unit)).toBe(false);
  const saved = [".saved", ".saved.2", ".saved.3"].map((suffix) => readFileSync(`${unit}${suffix}`, "utf8"));
  expect(saved).toEqual(["edited", "edited again", "edited for the last time"]);
});

test("uninstall does not remove a directory that contains other files", () => {
  installed();
  put(join(root, "usr/local/share/bash-completion/completions/other"), "theirs");
  uninstalled();
  expect(readFileSync(join(root, "usr/local/share/bash-completion/completions/other"), "utf8")).toBe("theirs");
});

test("a file in place of a needed directory is an error that names it, and nothing is created", () => {
  bareHost();
  put(join(root, "etc/dbus-1"), "not a directory");
  const before = snapshot();
  expect(() => installed()).toThrow(/Cannot look at '.*': a part of the path is not a directory/);
  expect(snapshot()).toEqual(before);
});

test("an installation that fails at its last file leaves nothing behind", () => {
  bareHost();
  // The unit is written under a temporary name first: a directory has that name.
  mkdirSync(join(root, "etc/systemd/system/.systemd-machined.service.machined-new"), { recursive: true });
  const before = snapshot();
  expect(() => installed()).toThrow(/Cannot write '.*systemd-machined.service'/);
  expect(snapshot()).toEqual(before);
});

test("an installation that was interrupted can be uninstalled", () => {
  bareHost();
  const before = snapshot();
  installed();
  // As after a power cut: the manifest exists, but some of its files do not.
  for (const path of ["etc/systemd/system/systemd-machined.service", "usr/local/bin/machinectl"]) {
    rmSync(join(root, path));
  }
  uninstalled();
  expect(snapshot()).toEqual(before);
});

test("a symbolic link that leads out of the tree is refused", () => {
  bareHost();
  const outside = join(top, "outside");
  mkdirSync(outside);
  symlinkSync(outside, join(root, "usr/local"));
  expect(() => installed()).toThrow(/leads out of/);
  expect(readdirSync(outside)).toEqual([]);
});

test("uninstall removes the file of metrics in the tree, and none that a link of the tree leads out to", () => {
  bareHost();
  installed();
  const file = "lib/prometheus/node-exporter/machined.prom";
  const outside = join(top, "outside");
  for (const directory of [outside, join(root, "var")]) put(join(directory, file), "metrics");
  uninstalled();
  expect(existsSync(join(root, "var", file))).toBe(false);
  installed();
  rmSync(join(root, "var"), { recursive: true });
  symlinkSync(outside, join(root, "var"));
  expect(uninstalled()).not.toContain("Nothing is installed");
  expect(readFileSync(join(outside, file), "utf8")).toBe("metrics");
});

test("the files have their modes whatever the umask is", () => {
  bareHost();
  const old = process.umask(0o077);
  try {
    installed();
  } finally {
    process.umask(old);
  }
  expect(lstatSync(join(root, "etc/systemd/system/systemd-machined.service")).mode & 0o777).toBe(0o644);
  expect(lstatSync(join(root, "usr/local/lib/machined")).mode & 0o777).toBe(0o755);
});

test("a user other than root can install into a tree what nobody may write, as files of read-only stores are", () => {
  const nobody = 65534;
  const isRoot = process.geteuid?.() === 0;
  fs.chmodSync(source, 0o555);
  const user = spyOn(process, "getuid");
  if (isRoot) {
    for (const path of [top, root]) fs.chownSync(path, nobody, -1);
    user.mockReturnValue(nobody);
    process.seteuid?.(nobody);
  }
  try {
    installed();
  } finally {
    if (isRoot) process.seteuid?.(0);
    user.mockRestore();
  }
  expect(lstatSync(join(root, "usr/local/lib/machined/machined")).mode & 0o777).toBe(0o755);
});

test("an invalid manifest, also one with relative paths, is refused", () => {
  const manifest = join(root, "usr/local/lib/machined/manifest.json");
  for (const text of [
    "",
    "{}",
    '{"format":2,"made":[]}',
    '{"format":1,"made":[{"kind":"link","path":"../x","target":"y"}]}',
  ]) {
    put(manifest, text);
    expect(() => uninstalled()).toThrow(/manifest/);
  }
});

test("a manifest whose disk fails is an error for install and uninstall, and no file of the installation is removed", () => {
  installed();
  const before = snapshot();
  const { statSync, existsSync: isThere } = fs;
  const isManifest = (path: unknown) => String(path).endsWith("/manifest.json");
  const failing = Object.assign(new Error("EIO: i/o error"), { code: "EIO" });
  const spies = [
    spyOn(fs, "statSync").mockImplementation(((path: string, options: object) => {
      if (isManifest(path)) throw failing;
      return statSync(path, options);
    }) as never),
    // As node:fs does: every error is "no".
    spyOn(fs, "existsSync").mockImplementation(((path: string) => !isManifest(path) && isThere(path)) as never),
  ];
  try {
    for (const work of [installed, uninstalled]) expect(() => void work()).toThrow(/manifest.json': the disk reports/);
  } finally {
    for (const spy of spies) spy.mockRestore();
  }
  expect(snapshot()).toEqual(before);
});

test("--now is refused for a tree of files", () => {
  expect(() => install({ host: new Host(root), source, now: true, dryRun: false, say: () => {} })).toThrow("--now");
  expect(() => uninstall({ host: new Host(root), now: true, say: () => {} })).toThrow("--now");
});

test("a --root= that does not exist is an error that names it", () => {
  expect(() => new Host(join(top, "nosuch"))).toThrow(`The directory '${top}/nosuch' of --root= does not exist`);
});
