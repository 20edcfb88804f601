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
import { initNamed } from "../../../src/setup/init/inits.ts";
import { initOf } from "../../../src/setup/init/recognise.ts";
import { SERVICES, type Service } from "../../../src/setup/init/services.ts";
import { startServices, stopServices } from "../../../src/setup/init/takeover.ts";
import { install } from "../../../src/setup/install.ts";
import { asPackaged } from "../../../src/setup/packaged.ts";
import type { Run } from "../../../src/setup/takeover.ts";
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

/** Notes commands without the name of the tree; those that start with `failing` fail. */
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
    mkdirSync(join(root, "etc/init.d"));
  },
  runit: () => {
    leadsInit("/lib/runit/runit-init");
    mkdirSync(join(root, "etc/runit/runsvdir/default"), { recursive: true });
  },
} as const;

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
    [null, "init", []],
    [null, "bash", ["/etc/init.d", "/etc/rc2.d", "/sbin/openrc"]],
    [null, "", []],
  ] as const)("as %p by process 1 '%s' and %p", (init, first, paths) => {
    expect(initOf({ first, has: has(...paths) })).toBe(init);
  });

  test("by what /sbin/init of a tree leads to", () => {
    leadsInit("../lib/systemd/systemd");
    expect(new Host(root).init).toBe("systemd");
  });

  test("and a tree that boots another one gets no units, whatever it has of systemd", () => {
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

  test("the scripts are programs that start the daemons, and all goes away again", () => {
    TREES[name]();
    const before = everything();
    installed();
    const scripts = everything().filter((path) => !before.includes(path) && lstatSync(join(root, path)).isFile());
    const texts = scripts.map((path) => readFileSync(join(root, path), "utf8"));
    for (const { program } of SERVICES) expect(texts.some((text) => text.includes(program))).toBe(true);
    for (const text of texts) expect(text).not.toMatch(/@[A-Z]+@/);
    for (const path of scripts) expect(lstatSync(join(root, path)).mode & 0o777).toBe(0o755);
    expect(lines.at(-1)).toBe(`${name} starts the daemons with the next boot, or now with 'machined install --now'`);
    uninstall({ host: new Host(root), now: false, say, command: noting() });
    expect(everything()).toEqual(before);
  });

  test("--dry-run names the files and makes none", () => {
    TREES[name]();
    const before = everything();
    installed({ dryRun: true });
    expect(everything()).toEqual(before);
    expect(lines.join("\n")).toMatch(/would make \/etc\/(init\.d\/machined|sv\/machined\/run)\n/);
    expect(commands).toEqual([]);
  });
});

describe("sysvinit", () => {
  test("without an index has links in the directories of the runlevels, in the order of the services", () => {
    TREES.sysvinit();
    installed();
    expect(readdirSync(join(root, "etc/rc2.d"))).toEqual(["S90machined", "S91machined-import"]);
    expect(readdirSync(join(root, "etc/rc6.d")).sort()).toEqual(["K09machined-import", "K10machined"]);
    expect(readlinkSync(join(root, "etc/rc2.d/S90machined"))).toBe("/etc/init.d/machined");
    expect(commands).toEqual([]);
  });

  test("of Debian is told to make the links, in the tree", () => {
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

  test("that cannot be told leaves nothing of a first installation", () => {
    TREES.sysvinit();
    put("usr/sbin/update-rc.d");
    expect(() => installed({ command: noting("machined-import defaults") })).toThrow(
      /update-rc.d machined-import defaults' failed: it failed\nEverything is as it was before$/,
    );
    expect(existsSync(join(root, "etc/init.d/machined"))).toBe(false);
    expect(commands).toContain("chroot ROOT update-rc.d machined remove");
  });
});

/** Returns the script of the first service, with a process number file in the tree. */
function scriptOf(name: "sysvinit"): string {
  const [file] = initNamed(name)?.files(SERVICES[0] as Service, () => false) ?? [];
  if (file?.kind !== "file") throw new Error(`${name} has no script`);
  return file.text.replace("PIDFILE=/run/", `PIDFILE=${root}/`);
}

test("a daemon that SIGKILL does not end is not waited for without end, and is not started twice", async () => {
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
  const files = initNamed("sysvinit")?.files(SERVICES[0] as Service, () => false) ?? [];
  const texts = asPackaged(files).map((file) => (file.kind === "file" ? file.text : ""));
  expect(texts[0]).toContain("PROGRAM=/usr/lib/machined/systemd-machined\n");
});

describe("services that run", () => {
  const start = (isUnchanged: boolean, command: Run) => {
    const init = initNamed("OpenRC");
    if (init !== null) startServices(init, new Host(root), isUnchanged, say, command);
  };

  test("are started again after a change, and left alone without one", () => {
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
    const init = initNamed("OpenRC");
    const busy: Run = (...words) => ({
      ...{ code: 0, output: "" },
      stdout: words.includes("list-transfers") ? "[1]" : "",
    });
    if (init !== null) stopServices(init, new Host(root), say, busy);
    expect(lines).toContain(
      "machined-import has active transfers: they end with it; a pull that is asked for again is resumed",
    );
  });

  test("are started where they do not run, and what fails is said", () => {
    expect(() => start(true, noting("machined st"))).toThrow("'rc-service machined start' failed: it failed");
  });
});
