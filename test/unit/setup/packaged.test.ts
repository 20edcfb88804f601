// An installation by a package: its files, the links to them, and changes of the administrator.
import { afterEach, beforeEach, expect, test } from "bun:test";
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { PACKAGED_PROGRAM } from "../../../src/base/vocabulary/installation.ts";
import { Host } from "../../../src/setup/host.ts";
import { install } from "../../../src/setup/install.ts";
import { ownLayout } from "../../../src/setup/layout/machined.ts";
import { MANIFEST } from "../../../src/setup/manifest.ts";
import { packageContents } from "../../../src/setup/packaged.ts";
import { uninstall } from "../../../src/setup/uninstall.ts";

const UNIT = "etc/systemd/system/systemd-machined.service";
const CLIENT = "usr/local/bin/machinectl";

let root = "";

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "machined-packaged-"));
  for (const path of [
    "usr/lib/systemd/systemd",
    "usr/share/polkit-1/actions/x",
    "usr/share/dbus-1/x",
    "usr/share/zsh/x",
  ])
    put(path);
});

afterEach(() => rmSync(root, { recursive: true }));

function put(path: string, text = ""): void {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  writeFileSync(join(root, path), text);
}

function unpack(): void {
  for (const one of packageContents(ownLayout(new Host(root))))
    if (one.kind === "file") put(one.path.slice(1), one.text);
}

function installed(keepChanges = true): string[] {
  const lines: string[] = [];
  install({
    host: new Host(root),
    source: PACKAGED_PROGRAM,
    now: false,
    keepChanges,
    dryRun: false,
    say: (line) => lines.push(line),
  });
  return lines;
}

function uninstalled(): void {
  uninstall({ host: new Host(root), now: false, say: () => {} });
}

function links(): string[] {
  return readdirSync(root, { recursive: true, encoding: "utf8" }).filter((path) =>
    lstatSync(join(root, path)).isSymbolicLink(),
  );
}

test("every link of an installation leads to a file of the package or to a unit", () => {
  unpack();
  installed();
  const found = links();
  expect(found).toContain(CLIENT);
  for (const path of found) {
    const target = readlinkSync(join(root, path));
    expect(target).toMatch(/^\/(usr\/lib\/machined|etc\/systemd)\//);
    if (target.startsWith("/usr/lib/machined/host/"))
      expect([path, existsSync(join(root, target))]).toEqual([path, true]);
  }
  expect(readlinkSync(join(root, CLIENT))).toBe(PACKAGED_PROGRAM);
});

test("the only files that no package owns are units, the manifest, and the polkit policies, which depend on the host", () => {
  unpack();
  const before = new Set(readdirSync(root, { recursive: true, encoding: "utf8" }));
  installed();
  const files = readdirSync(root, { recursive: true, encoding: "utf8" }).filter(
    (path) => !before.has(path) && !path.startsWith("etc/systemd/") && lstatSync(join(root, path)).isFile(),
  );
  expect(files.sort()).toEqual([
    "usr/local/lib/machined/manifest.json",
    "usr/share/polkit-1/actions/machined-import.policy",
    "usr/share/polkit-1/actions/machined.policy",
  ]);
});

test("the units of a package start the package's own program", () => {
  const texts = packageContents(ownLayout(new Host(root))).map((one) => (one.kind === "file" ? one.text : one.target));
  expect(texts.join("\n")).toContain("ExecStart=/usr/lib/machined/systemd-machined");
  expect(texts.filter((text) => text.includes("/usr/local/lib/machined"))).toEqual([]);
});

test("removal restores the tree", () => {
  unpack();
  const before = readdirSync(root, { recursive: true, encoding: "utf8" }).sort();
  installed();
  uninstalled();
  expect(readdirSync(root, { recursive: true, encoding: "utf8" }).sort()).toEqual(before);
});

test("where dpkg does not call prerm, postrm restores the tree, and keeps what the administrator changed", async () => {
  unpack();
  put("usr/bin/machinectl", "theirs");
  const list = () => readdirSync(root, { recursive: true, encoding: "utf8" }).sort();
  const before = list();
  installed();
  renameSync(join(root, "usr/bin/machinectl"), join(root, "usr/bin/machinectl.distrib"));
  symlinkSync(PACKAGED_PROGRAM, join(root, "usr/bin/machinectl"));
  put("usr/local/lib/machined/divert.json", '[{"path":"/usr/bin/machinectl","by":"rename"}]\n');
  const postrm = async (word: string) => {
    const script = join(import.meta.dir, "../../../install/release/deb/postrm");
    const env = { ...process.env, DPKG_ROOT: root };
    const child = Bun.spawn(["sh", script, word], { env, stdin: "ignore", stderr: "pipe" });
    expect([await child.stderr.text(), await child.exited]).toEqual(["", 0]);
  };
  await postrm("upgrade");
  expect(existsSync(join(root, MANIFEST))).toBe(true);
  put(UNIT, "the administrator's");
  await postrm("remove");
  expect(list().filter((path) => !path.startsWith("etc"))).toEqual(before.filter((path) => !path.startsWith("etc")));
  expect(readFileSync(join(root, "usr/bin/machinectl"), "utf8")).toBe("theirs");
  const files = list().filter((path) => path.startsWith("etc/") && !lstatSync(join(root, path)).isDirectory());
  expect(files).toEqual([`${UNIT}.saved`]);
  await postrm("remove");
});

test("an upgrade leaves what the administrator removed or replaced", () => {
  unpack();
  installed();
  rmSync(join(root, "etc/systemd/system/sockets.target.wants/systemd-machined.socket"));
  rmSync(join(root, CLIENT));
  put(CLIENT, "the administrator's");
  expect(installed().filter((line) => line.startsWith("left"))).toHaveLength(2);
  expect(lstatSync(join(root, CLIENT)).isFile()).toBe(true);
  expect(existsSync(join(root, "etc/systemd/system/sockets.target.wants/systemd-machined.socket"))).toBe(false);
  expect(installed().filter((line) => line.startsWith("left"))).toHaveLength(2);
  rmSync(join(root, CLIENT));
  expect(installed(false).filter((line) => line.startsWith("made"))).toHaveLength(2);
});

test("a file that was there before the package stays, also after the package is removed", () => {
  unpack();
  put(CLIENT, "the administrator's");
  installed();
  uninstalled();
  expect(lstatSync(join(root, CLIENT)).isFile()).toBe(true);
});

test("a package replaces an installation that 'machined install' made, and leaves nothing of it", () => {
  const source = join(root, "machined");
  put("machined", "an earlier executable");
  const before = readdirSync(root, { recursive: true, encoding: "utf8" }).sort();
  install({ host: new Host(root), source, now: false, dryRun: false, say: () => {} });
  unpack();
  installed();
  expect(existsSync(join(root, "usr/local/lib/machined/machined"))).toBe(false);
  expect(readFileSync(join(root, UNIT), "utf8")).toContain("ExecStart=/usr/lib/machined/systemd-machined\n");
  uninstalled();
  rmSync(join(root, "usr/lib/machined"), { recursive: true });
  expect(readdirSync(root, { recursive: true, encoding: "utf8" }).sort()).toEqual(before);
});

test("a program of the distribution that replaced a link later stays", () => {
  const program = "usr/lib/systemd/systemd-pull";
  unpack();
  installed();
  expect(lstatSync(join(root, program)).isSymbolicLink()).toBe(true);
  rmSync(join(root, program));
  put(program, "the distribution's");
  installed();
  uninstalled();
  expect(lstatSync(join(root, program)).isFile()).toBe(true);
});

test("an upgrade keeps the links by which other programs call the workers, and the drop-ins for these programs", () => {
  unpack();
  installed();
  const before = links().sort();
  expect(before).toContain("usr/lib/systemd/systemd-pull");
  expect(installed().filter((line) => /^(made|removed|replaced|left) /.test(line))).toEqual([]);
  expect(links().sort()).toEqual(before);
  expect(existsSync(join(root, "etc/systemd/system/systemd-sysupdate.service.d/machined.conf"))).toBe(true);
});

test("units are files, because 'systemctl disable' removes a unit that is a link to another directory", () => {
  unpack();
  installed();
  const inUnits = links().filter((path) => path.startsWith("etc/systemd/"));
  for (const path of inUnits) expect(readlinkSync(join(root, path))).toMatch(/^(\/etc\/systemd\/|\.\.?\/|[^/]+$)/);
  expect(lstatSync(join(root, UNIT)).isFile()).toBe(true);
});

test("a link to a unit that an older package has made is replaced by the unit", () => {
  const target = `/usr/lib/machined/host/${UNIT}`;
  unpack();
  installed();
  rmSync(join(root, UNIT));
  symlinkSync(target, join(root, UNIT));
  const manifest = join(root, "usr/local/lib/machined/manifest.json");
  const path = existsSync(manifest) ? manifest : join(root, MANIFEST);
  const text = JSON.parse(readFileSync(path, "utf8")) as { made: { path: string }[] };
  text.made = text.made.map((one) => (one.path === `/${UNIT}` ? { kind: "link", path: one.path, target } : one));
  writeFileSync(path, JSON.stringify(text));
  installed();
  expect(lstatSync(join(root, UNIT)).isFile()).toBe(true);
});

test("an edited unit is renamed on removal, so that the distribution's unit is used again", () => {
  unpack();
  installed();
  rmSync(join(root, UNIT));
  put(UNIT, "ExecStart=/usr/lib/machined/systemd-machined");
  uninstalled();
  expect(existsSync(join(root, UNIT))).toBe(false);
  expect(existsSync(join(root, `${UNIT}.saved`))).toBe(true);
});
