// machined install on trees of files whose init is not systemd; booted ones are in test/environments/inits.test.ts.
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
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
import type { Init } from "../../../src/setup/init/init.ts";
import { initOn, refusalOn } from "../../../src/setup/init/inits.ts";
import { initOf } from "../../../src/setup/init/recognise.ts";
import { scanDirectoryIn } from "../../../src/setup/init/scan-directory.ts";
import { SERVICES, type Service } from "../../../src/setup/init/services.ts";
import { startServices, stopServices } from "../../../src/setup/init/takeover.ts";
import { install } from "../../../src/setup/install.ts";
import { asPackaged } from "../../../src/setup/packaged.ts";
import type { Run } from "../../../src/setup/run-command.ts";
import { uninstall } from "../../../src/setup/uninstall.ts";

let top = "";
let root = "";
let commands: string[] = [];
let lines: string[] = [];

beforeEach(() => {
  top = mkdtempSync(join(tmpdir(), "machined-inits-"));
  root = join(top, "root");
  mkdirSync(root);
  writeFileSync(join(top, "machined"), "the executable");
  commands = [];
  lines = [];
});

afterEach(() => rmSync(top, { recursive: true }));

const say = (line: string) => void lines.push(line.replaceAll(root, ""));

/** Records commands without the path of the tree; those that start with `failing` fail. */
const noting =
  (failing?: string): Run =>
  (...words) => {
    const line = words.join(" ").replaceAll(root, "ROOT");
    commands.push(line);
    const fails = failing !== undefined && line.includes(failing);
    return { code: fails ? 1 : 0, stdout: "", output: fails ? "it failed" : "" };
  };

function put(path: string, text = ""): void {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  writeFileSync(join(root, path), text);
}

function installed(options: { dryRun?: boolean; command?: Run } = {}): void {
  const { dryRun = false, command = noting() } = options;
  install({ host: new Host(root), source: join(top, "machined"), now: false, dryRun, say, command });
}

function leadsInit(target: string): void {
  mkdirSync(join(root, "sbin"), { recursive: true });
  symlinkSync(target, join(root, "sbin/init"));
}

const TREES = {
  sysvinit: () => {
    put("sbin/init");
    mkdirSync(join(root, "etc/init.d"), { recursive: true });
    for (const level of [0, 1, 2, 3, 4, 5, 6]) mkdirSync(join(root, `etc/rc${level}.d`));
  },
  OpenRC: () => {
    put("sbin/init");
    put("sbin/openrc");
    mkdirSync(join(root, "etc/runlevels/default"), { recursive: true });
    mkdirSync(join(root, "etc/init.d"), { recursive: true });
  },
  runit: () => {
    leadsInit("/lib/runit/runit-init");
    mkdirSync(join(root, "etc/runit/runsvdir/default"), { recursive: true });
  },
  s6: () => {
    put("sbin/init", "#!/bin/sh\n# starts s6-svscan /nowhere\nexec s6-svscan -t 0 /etc/service\n");
    mkdirSync(join(root, "etc/service"), { recursive: true });
  },
} as const;

/** Makes a tree that boots an init, and returns that init. */
function treeOf(name: keyof typeof TREES): Init {
  TREES[name]();
  const init = initOn(new Host(root));
  if (init === null) throw new Error(`${name} was not recognised`);
  return init;
}

const has =
  (...paths: string[]) =>
  (path: string) =>
    paths.includes(path);

describe("an init is recognised", () => {
  test.each([
    ["systemd", "systemd", []],
    ["systemd", "init", ["/run/systemd/system", "/etc/init.d", "/etc/rc2.d"]],
    ["OpenRC", "init", ["/run/openrc", "/etc/init.d", "/etc/rc2.d"]],
    ["OpenRC", "openrc-init", ["/sbin/openrc"]],
    ["OpenRC", "busybox", ["/sbin/openrc"]],
    ["sysvinit", "init", ["/etc/init.d", "/etc/rc2.d"]],
    ["sysvinit", "init", ["/etc/init.d", "/etc/rc.d/rc2.d"]],
    ["runit", "runit", ["/etc/init.d", "/etc/rc2.d"]],
    ["s6", "s6-svscan", ["/etc/init.d", "/etc/rc2.d"]],
    ["s6", "s6-linux-init", []],
    [null, "init", []],
    [null, "bash", ["/etc/init.d", "/etc/rc2.d", "/sbin/openrc"]],
    [null, "", []],
  ] as const)("as %p by process 1 '%s' and %p", (init, first, paths) => {
    expect(initOf({ first, has: has(...paths) })).toBe(init);
  });

  test("as systemd by the target of the tree's /sbin/init", () => {
    leadsInit("../lib/systemd/systemd");
    expect(new Host(root).init).toBe("systemd");
  });

  test("and a tree that boots another init gets no units, even if it contains systemd", () => {
    TREES.OpenRC();
    put("usr/lib/systemd/systemd");
    installed();
    expect(new Host(root).hasSystemd).toBe(false);
    expect(existsSync(join(root, "etc/systemd"))).toBe(false);
    expect(readlinkSync(join(root, "etc/runlevels/default/machined"))).toBe("/etc/init.d/machined");
  });
});

describe.each(Object.keys(TREES) as (keyof typeof TREES)[])("with %s", (name) => {
  const everything = () =>
    readdirSync(root, { recursive: true, encoding: "utf8" })
      .filter((path) => !path.startsWith("usr/"))
      .sort();

  test("the scripts are executable and start the daemons, and uninstalling removes them", () => {
    TREES[name]();
    const before = everything();
    installed();
    const scripts = everything().filter((path) => !before.includes(path) && lstatSync(join(root, path)).isFile());
    const texts = scripts.map((path) => readFileSync(join(root, path), "utf8"));
    for (const { program } of SERVICES) expect(texts.some((text) => text.includes(program))).toBe(true);
    for (const text of texts) expect(text).not.toMatch(/@[A-Z]+@/);
    for (const [index, path] of scripts.entries()) {
      const isScript = texts[index]?.startsWith("#!") === true;
      expect(lstatSync(join(root, path)).mode & 0o777).toBe(isScript ? 0o755 : 0o644);
    }
    expect(lines.at(-1)).toBe(`${name} starts the daemons with the next boot, or now with 'machined install --now'`);
    uninstall({ host: new Host(root), now: false, say, command: noting() });
    expect(everything()).toEqual(before);
  });

  test("--dry-run prints the files and creates none", () => {
    TREES[name]();
    const before = everything();
    installed({ dryRun: true });
    expect(everything()).toEqual(before);
    expect(lines.join("\n")).toMatch(
      /would make \/etc\/(init\.d\/machined|sv\/machined\/run|machined\/s6\/machined\/run)\n/,
    );
    expect(commands).toEqual([]);
  });
});

describe("sysvinit", () => {
  test("without update-rc.d gets links in the directories of the runlevels, in the order of the services", () => {
    TREES.sysvinit();
    installed();
    expect(readdirSync(join(root, "etc/rc2.d"))).toEqual(["S90machined", "S91machined-import"]);
    expect(readdirSync(join(root, "etc/rc6.d")).sort()).toEqual(["K09machined-import", "K10machined"]);
    expect(readlinkSync(join(root, "etc/rc2.d/S90machined"))).toBe("/etc/init.d/machined");
    expect(commands).toEqual([]);
  });

  test("of Debian gets its links from update-rc.d, run inside the tree", () => {
    TREES.sysvinit();
    put("usr/sbin/update-rc.d");
    installed();
    expect(readdirSync(join(root, "etc/rc2.d"))).toEqual([]);
    uninstall({ host: new Host(root), now: false, say, command: noting() });
    expect(commands).toEqual([
      "chroot ROOT update-rc.d machined defaults",
      "chroot ROOT update-rc.d machined-import defaults",
      "chroot ROOT update-rc.d machined-import remove",
      "chroot ROOT update-rc.d machined remove",
    ]);
  });

  test("whose update-rc.d fails: a first installation is undone", () => {
    TREES.sysvinit();
    put("usr/sbin/update-rc.d");
    expect(() => installed({ command: noting("machined-import defaults") })).toThrow(
      /update-rc.d machined-import defaults' failed: it failed\nEverything is as it was before$/,
    );
    expect(existsSync(join(root, "etc/init.d/machined"))).toBe(false);
    expect(commands).toContain("chroot ROOT update-rc.d machined remove");
  });
});

describe("s6", () => {
  test.each([
    ["exec s6-svscan /service", "/service"],
    ["  exec /bin/s6-svscan -c 500 -t0 -- '/var/service/' >/dev/console", "/var/service"],
    ["emptyenv s6-svscan -X3 -- /run/service", "/run/service"],
    ["# s6-svscan /service", null],
    ["exec s6-svscan >/dev/console", null],
    ["exec s6-svscan $SCAN; exec sh /etc/rescue", null],
    ["s6-svscanctl -t /service", null],
    ["s6-linux-init -c /etc/s6-linux-init/current -- $@", null],
  ])("with the line '%s' has the scan directory %p", (line, path) => {
    expect(scanDirectoryIn(line)).toBe(path);
  });

  test("has links in its scan directory, which are made when the service directories are complete", () => {
    TREES.s6();
    installed();
    for (const { name } of SERVICES) {
      expect(readlinkSync(join(root, "etc/service", name))).toBe(`/etc/machined/s6/${name}`);
      const made = lines.filter((line) => line.startsWith("made") && line.includes(`/etc/machined/s6/${name}/`));
      expect(lines.indexOf(`made     /etc/service/${name}`)).toBeGreaterThan(lines.indexOf(made.at(-1) ?? ""));
      expect(made).toHaveLength(5);
    }
    expect(commands).toEqual([]);
  });

  test("of a tree that was booted leaves nothing of the state of its services", () => {
    TREES.s6();
    installed();
    for (const name of ["supervise/status", "event/x", "log/supervise/status", "log/event/x"])
      put(`etc/machined/s6/machined/${name}`);
    uninstall({ host: new Host(root), now: false, say, command: noting() });
    expect(readdirSync(join(root, "etc"))).toEqual(["service"]);
    expect(readdirSync(join(root, "etc/service"))).toEqual([]);
  });

  test("gets a new service: it is announced and started until it is supervised, and then waited for", () => {
    const isTold = () => commands.some((line) => line.startsWith("s6-svc -u"));
    const command: Run = (...words) => noting(isTold() || words[0] === "s6-svscanctl" ? undefined : "")(...words);
    startServices(treeOf("s6"), false, say, command);
    const told = ["s6-svscanctl -a /etc/service", "s6-svc -u /etc/machined/s6/machined"];
    expect(commands.slice(0, 6)).toEqual([
      "s6-svwait -U -t 1000 /etc/machined/s6/machined",
      ...told,
      ...told,
      "s6-svwait -U -t 20000 /etc/machined/s6/machined",
    ]);
  });

  test("ends the services and what supervises them, in reverse order", () => {
    stopServices(treeOf("s6"), new Host(root), say, noting());
    expect(commands.filter((line) => line.startsWith("s6-svunlink"))).toEqual([
      "s6-svunlink -t 20000 /etc/service machined-import",
      "s6-svunlink -t 20000 /etc/service machined",
    ]);
  });

  test.each([
    ["#!/bin/sh\nexec s6-svscan /run/service\n", "run/service/x", "'/run/service' is in memory"],
    ["#!/bin/sh\nexec s6-svscan /service\n", "run/service/x", "'/run/service' is in memory"],
    ["#!/bin/sh\nexec s6-svscan /service\n", "etc/x", "'/service' does not exist"],
    [
      "#!/bin/execlineb -S0\ns6-linux-init -c /etc/s6/current -- $@\n",
      "etc/x",
      "does not say what its scan directory is",
    ],
  ])("gets no services where the scan directory does not keep them until the next boot", (text, path, why) => {
    put("lib/s6/init", text);
    leadsInit("../lib/s6/init");
    put(path);
    if (path.startsWith("run/")) symlinkSync("/run/service", join(root, "service"));
    installed();
    expect(new Host(root).init).toBe("s6");
    expect(lines.at(-1)).toStartWith("No service can be installed for s6: ");
    expect(lines.at(-1)).toContain(why);
    expect(existsSync(join(root, "etc/machined"))).toBe(false);
    expect(existsSync(join(root, "usr/local/lib/machined/machined"))).toBe(true);
  });

  test("with services of s6-rc is not changed, and the message says what helps", () => {
    put("sbin/init", "#!/bin/sh\nexec s6-svscan /run/service\n");
    mkdirSync(join(root, "run/service"), { recursive: true });
    put("etc/s6/rc/compiled/db");
    installed();
    expect(lines.at(-1)).toMatch(
      /Add longruns that execute '.*\/systemd-machined' and '.*\/systemd-importd' to a bundle that s6-rc starts at boot$/,
    );
    expect(refusalOn(new Host(root), "/usr/lib/machined")).toContain("execute '/usr/lib/machined/systemd-machined'");
  });
});

/** Returns the script of the first service, with a PID file in the tree. */
function scriptOf(name: "sysvinit"): string {
  const [file] = treeOf(name).files(SERVICES[0] as Service, () => false);
  if (file?.kind !== "file") throw new Error(`${name} has no script`);
  return file.text.replace("PIDFILE=/run/", `PIDFILE=${root}/`);
}

test("when SIGKILL does not end a daemon, the script stops waiting after a while and does not start a second daemon", async () => {
  const calls = join(root, "calls");
  const played = `
    tr() { echo "$PROGRAM "; }
    kill() { echo "$*" >>"${calls}"; }
    sleep() { :; }
    start() { echo started >>"${calls}"; }
  `;
  await using child = Bun.spawn(["sleep", "1000"]);
  put("machined.pid", String(child.pid));
  const script = scriptOf("sysvinit").replace("\ncase ", `${played}\ncase `);
  for (const verb of ["stop", "restart"]) {
    rmSync(calls, { force: true });
    const { exitCode, stderr } = Bun.spawnSync(["timeout", "60", "sh", "-c", script, "machined", verb]);
    expect([exitCode, stderr.toString()]).toEqual([
      1,
      `machined did not stop: process ${child.pid} did not end after SIGKILL.\n`,
    ]);
    expect(readFileSync(calls, "utf8")).toBe(`-TERM ${child.pid}\n-KILL ${child.pid}\n`);
  }
});

test("a package's scripts start the package's programs", () => {
  const files = treeOf("sysvinit").files(SERVICES[0] as Service, () => false);
  const texts = asPackaged(files).map((file) => (file.kind === "file" ? file.text : ""));
  expect(texts[0]).toContain("PROGRAM=/usr/lib/machined/systemd-machined\n");
});

describe("services that run", () => {
  const start = (isUnchanged: boolean, command: Run) => {
    startServices(treeOf("OpenRC"), isUnchanged, say, command);
  };

  test("are restarted after a change of the installation only", () => {
    start(false, noting());
    expect(commands.filter((line) => line.endsWith("restart"))).toEqual([
      "rc-service machined restart",
      "rc-service machined-import restart",
    ]);
    commands = [];
    start(true, noting());
    expect(commands).toEqual(["rc-service machined status", "rc-service machined-import status"]);
    expect(lines).toContain("machined runs already");
  });

  test("a service with active transfers, or that cannot be asked, is not started again", () => {
    const answering =
      (list: { code: number; stdout: string }): Run =>
      (...words) => {
        commands.push(words.join(" "));
        return words.includes("list-transfers") ? { ...list, output: "" } : { code: 0, stdout: "", output: "" };
      };
    const restarts = () => commands.filter((line) => line.endsWith("restart"));
    for (const [list, reason] of [
      [{ code: 0, stdout: '[{"id":1}]' }, "has active transfers"],
      [{ code: 1, stdout: "" }, "did not say whether it has active transfers"],
    ] as const) {
      commands = [];
      start(false, answering(list));
      expect(restarts()).toEqual(["rc-service machined restart"]);
      expect(lines).toContain(
        `machined-import ${reason}: it is replaced by 'rc-service machined-import restart', when they are done`,
      );
      expect(lines).not.toContain("machined-import runs");
    }
    commands = [];
    start(false, answering({ code: 0, stdout: "" }));
    expect(restarts()).toHaveLength(2);
  });

  test("transfers that end with a service that is removed are printed", () => {
    const busy: Run = (...words) => ({
      ...{ code: 0, output: "" },
      stdout: words.includes("list-transfers") ? "[1]" : "",
    });
    stopServices(treeOf("OpenRC"), new Host(root), say, busy);
    expect(lines).toContain(
      "machined-import has active transfers: they end with it; a pull that is asked for again is resumed",
    );
  });

  test("are started if they do not run, and a command that fails is an error", () => {
    expect(() => start(true, noting("machined st"))).toThrow("'rc-service machined start' failed: it failed");
  });
});
