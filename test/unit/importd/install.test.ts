// The transfer daemon's part of an installation, on trees of files; and how it takes over, with a simulated systemctl.
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { Host } from "../../../src/setup/host.ts";
import { install } from "../../../src/setup/install.ts";
import type { Run } from "../../../src/setup/run-command.ts";
import { giveBackImports, takeOverImports } from "../../../src/setup/takeover/import.ts";
import { uninstall } from "../../../src/setup/uninstall.ts";

describe("on a tree of files", () => {
  let root = "";
  let source = "";
  const at = (path: string) => join(root, path);
  const put = (path: string, text = "the distribution's") => {
    mkdirSync(dirname(at(path)), { recursive: true });
    writeFileSync(at(path), text);
  };
  const installed = () => install({ host: new Host(root), source, now: false, dryRun: false, say: () => {} });
  const uninstalled = () => uninstall({ host: new Host(root), now: false, say: () => {} });

  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), "importd-setup-"));
    source = join(root, "the-executable");
    writeFileSync(source, "the executable");
    put("usr/lib/systemd/systemd");
    for (const path of ["usr/share/dbus-1/system-services", "usr/share/polkit-1/actions", "etc"]) {
      mkdirSync(at(path), { recursive: true });
    }
  });
  afterEach(() => rmSync(root, { recursive: true }));

  test("a host without an importd gets all files, and the workers at the paths that other programs call", () => {
    installed();
    for (const path of [
      "etc/systemd/system/systemd-importd.service",
      "etc/systemd/system/systemd-importd.socket",
      "etc/dbus-1/system.d/org.freedesktop.import1.conf",
      "usr/local/share/dbus-1/system-services/org.freedesktop.import1.service",
      "usr/share/polkit-1/actions/machined-import.policy",
      "usr/local/share/bash-completion/completions/importctl",
      "usr/local/bin/importctl",
      "usr/local/lib/machined/systemd-importd",
    ]) {
      expect([path, existsSync(at(path))]).toEqual([path, true]);
    }
    for (const worker of ["systemd-pull", "systemd-import", "systemd-import-fs", "systemd-export"]) {
      expect(readlinkSync(at(`usr/lib/systemd/${worker}`))).toBe(`/usr/local/lib/machined/${worker}`);
      expect(readFileSync(at(`usr/local/lib/machined/${worker}`), "utf8")).toBe("the executable");
    }
    expect(readlinkSync(at("etc/systemd/system/dbus-org.freedesktop.import1.service"))).toBe(
      "/etc/systemd/system/systemd-importd.service",
    );
    installed();
    expect(readlinkSync(at("usr/lib/systemd/systemd-pull"))).toBe("/usr/local/lib/machined/systemd-pull");
    uninstalled();
    expect(existsSync(at("usr/lib/systemd/systemd-pull"))).toBe(false);
    expect(existsSync(at("usr/local"))).toBe(false);
  });

  test("units that start machined's workers may map executable memory; units that start the distribution's are unchanged", () => {
    const dropIn = at("etc/systemd/system/systemd-sysupdate@.service.d/machined.conf");
    installed();
    expect(readFileSync(dropIn, "utf8")).toContain("\nMemoryDenyWriteExecute=no\n");
    uninstalled();
    expect(existsSync(at("etc/systemd/system/systemd-sysupdate@.service.d"))).toBe(false);

    for (const worker of ["pull", "import", "import-fs", "export"]) put(`usr/lib/systemd/systemd-${worker}`);
    installed();
    expect(existsSync(dropIn)).toBe(false);
  });

  test("workers of the distribution stay, after installing and after uninstalling", () => {
    put("usr/lib/systemd/systemd-pull");
    installed();
    expect(readFileSync(at("usr/lib/systemd/systemd-pull"), "utf8")).toBe("the distribution's");
    expect(readlinkSync(at("usr/lib/systemd/systemd-import"))).toBe("/usr/local/lib/machined/systemd-import");
    uninstalled();
    expect(readFileSync(at("usr/lib/systemd/systemd-pull"), "utf8")).toBe("the distribution's");
    expect(existsSync(at("usr/lib/systemd/systemd-import"))).toBe(false);
  });

  test("a masked importd stays masked, and the installation succeeds", () => {
    mkdirSync(at("etc/systemd/system"), { recursive: true });
    symlinkSync("/dev/null", at("etc/systemd/system/systemd-importd.service"));
    installed();
    uninstalled();
    expect(readlinkSync(at("etc/systemd/system/systemd-importd.service"))).toBe("/dev/null");
  });

  test("where systemd 252 has three of the polkit actions, only the missing one is added", () => {
    const known = ["import", "export", "pull"].map((name) => `<action id="org.freedesktop.import1.${name}">`);
    put("usr/share/polkit-1/actions/org.freedesktop.import1.policy", known.join("\n"));
    installed();
    const added = readFileSync(at("usr/share/polkit-1/actions/machined-import.policy"), "utf8");
    expect([...added.matchAll(/<action id="([^"]+)"/g)].map(([, id]) => id)).toEqual([
      "org.freedesktop.import1.cancel",
    ]);
  });
});

describe("taking over", () => {
  function fake(answers: Record<string, { code: number; stdout?: string; output?: string }>): {
    run: Run;
    lines: string[];
  } {
    const lines: string[] = [];
    const run: Run = (...command) => {
      const line = command.join(" ");
      lines.push(line);
      const key = Object.keys(answers).find((start) => line.startsWith(start));
      return { code: 0, stdout: "", output: "", ...(key === undefined ? {} : answers[key]) };
    };
    return { run, lines };
  }
  const INSTALLED = { program: "/usr/local/lib/machined/machined", isUnchanged: false, ownSocket: true };
  const stops = (lines: string[]) => lines.filter((line) => /^systemctl (stop|start) /.test(line));

  test("an idle daemon is stopped, so that the next call starts the other one", () => {
    const { run, lines } = fake({ busctl: { code: 0, stdout: '{"type":"a(usssdo)","data":[[]]}' } });
    takeOverImports({ ...INSTALLED, ownSocket: false }, () => {}, run);
    giveBackImports(() => {}, run);
    expect(stops(lines)).toEqual(["systemctl stop systemd-importd.service", "systemctl stop systemd-importd.service"]);
  });

  test("a daemon with active transfers is not stopped", () => {
    const said: string[] = [];
    const { run, lines } = fake({ busctl: { code: 0, stdout: '{"data":[[[1,"pull-tar"]]]}' } });
    takeOverImports(INSTALLED, (line) => said.push(line), run);
    expect(stops(lines)).toEqual([]);
    expect(said[0]).toContain("has active transfers");
  });

  test.each([
    { code: 1, stdout: "", output: "Connection timed out" },
    { code: 0, stdout: "no JSON" },
    { code: 0, stdout: "null" },
    { code: 0, stdout: '{"data":[]}' },
  ])("a daemon that does not say whether it has transfers is not stopped (%j)", (busctl) => {
    const said: string[] = [];
    const { run, lines } = fake({ busctl });
    takeOverImports(INSTALLED, (line) => said.push(line), run);
    expect(stops(lines)).toEqual([]);
    expect(said[0]).toContain("did not say whether it has active transfers");
  });

  test("a warning on standard error of busctl does not hide active transfers", () => {
    const reply = '{"data":[[[1,"pull-tar"]]]}';
    const { run, lines } = fake({ busctl: { code: 0, stdout: reply, output: `${reply}\na warning` } });
    takeOverImports(INSTALLED, () => {}, run);
    expect(stops(lines)).toEqual([]);
  });

  test("machined's own socket unit is started while the service is stopped", () => {
    const { run, lines } = fake({ "systemctl is-active": { code: 3 } });
    takeOverImports(INSTALLED, () => {}, run);
    expect(stops(lines)).toEqual(["systemctl start systemd-importd.socket"]);
  });

  test("an installation that changes no file replaces a daemon that an interrupted one has left, and not its own", () => {
    const pid = { code: 0, stdout: `${process.pid}` };
    const busctl = { code: 0, stdout: '{"data":[[]]}' };
    const stopsOf = (program: string) => {
      const { run, lines } = fake({ "systemctl show --property=MainPID": pid, busctl });
      takeOverImports({ program, isUnchanged: true, ownSocket: true }, () => {}, run);
      return stops(lines);
    };
    expect(stopsOf("/usr/local/lib/machined/machined")).toEqual(["systemctl stop systemd-importd.service"]);
    expect(stopsOf(realpathSync(process.execPath))).toEqual([]);
  });
});
