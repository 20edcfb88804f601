// machined install --divert on trees of files.
import { describe, expect, test } from "bun:test";
import {
  existsSync,
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
import { divert, mendDiversions, undivert } from "../../../src/setup/divert.ts";
import { Host } from "../../../src/setup/host.ts";
import { type Run, run } from "../../../src/setup/run-command.ts";
import { isRoot } from "../../lib/daemon.ts";
import { havePrograms } from "../../lib/programs.ts";

const PROGRAM = "/usr/local/lib/machined/machined";

function tree(files: Record<string, string>): Host {
  const root = mkdtempSync(join(tmpdir(), "machined-divert-"));
  for (const directory of ["usr/bin", "usr/local/lib/machined"]) mkdirSync(join(root, directory), { recursive: true });
  for (const [name, text] of Object.entries(files)) writeFileSync(join(root, "usr/bin", name), text);
  return new Host(root);
}

const nothing: Run = () => ({ code: 127, stdout: "", output: "is not to be called" });
const silent = () => {};
const bin = (host: Host) => readdirSync(host.locate("/usr/bin")).sort();
const read = (host: Host, name: string) => readFileSync(host.locate(`/usr/bin/${name}`), "utf8");

test("the distribution's clients are renamed, and restored unchanged by uninstalling", () => {
  const host = tree({ machinectl: "theirs" });
  for (let round = 0; round < 2; round++) divert(host, PROGRAM, silent, nothing);
  expect(bin(host)).toEqual(["machinectl", "machinectl.distrib"]);
  expect(readlinkSync(host.locate("/usr/bin/machinectl"))).toBe(PROGRAM);
  undivert(host, silent, nothing);
  expect(bin(host)).toEqual(["machinectl"]);
  expect(read(host, "machinectl")).toBe("theirs");
  expect(existsSync(host.locate("/usr/local/lib/machined/divert.json"))).toBe(false);
  undivert(host, silent, nothing);
  expect(bin(host)).toEqual(["machinectl"]);
  rmSync(host.root, { recursive: true });
});

test("a client that a package manager without diversions has replaced is diverted again, and the new one is restored", () => {
  const host = tree({ machinectl: "old", importctl: "theirs" });
  divert(host, PROGRAM, silent, nothing);
  rmSync(host.locate("/usr/bin/machinectl"));
  writeFileSync(host.locate("/usr/bin/machinectl"), "new");
  divert(host, PROGRAM, silent, nothing);
  expect(read(host, "machinectl.distrib")).toBe("new");
  undivert(host, silent, nothing);
  expect([read(host, "machinectl"), read(host, "importctl")]).toEqual(["new", "theirs"]);
  rmSync(host.root, { recursive: true });
});

test.each([
  ["with --divert", divert],
  ["without", mendDiversions],
])("an installation from a package, %s, links to its own program, and the distribution's client is kept", (_, act) => {
  const packaged = "/usr/lib/machined/machined";
  const host = tree({ machinectl: "theirs" });
  divert(host, PROGRAM, silent, nothing);
  act(host, packaged, silent, nothing);
  expect(readlinkSync(host.locate("/usr/bin/machinectl"))).toBe(packaged);
  expect(read(host, "machinectl.distrib")).toBe("theirs");
  undivert(host, silent, nothing);
  expect(bin(host)).toEqual(["machinectl"]);
  expect(read(host, "machinectl")).toBe("theirs");
  rmSync(host.root, { recursive: true });
});

test("a client that was renamed before the host had dpkg-divert is not diverted by that later", () => {
  const host = tree({ machinectl: "theirs" });
  divert(host, PROGRAM, silent, nothing);
  writeFileSync(host.locate("/usr/bin/dpkg-divert"), "");
  divert(host, PROGRAM, silent, nothing);
  undivert(host, silent, nothing);
  expect(read(host, "machinectl")).toBe("theirs");
  rmSync(host.root, { recursive: true });
});

test("a file that has replaced the link is not removed", () => {
  const host = tree({ machinectl: "old" });
  divert(host, PROGRAM, silent, nothing);
  rmSync(host.locate("/usr/bin/machinectl"));
  writeFileSync(host.locate("/usr/bin/machinectl"), "new");
  const said: string[] = [];
  undivert(host, (line) => said.push(line), nothing);
  expect(read(host, "machinectl")).toBe("new");
  expect(said[0]).toContain("it is not what was installed");
  rmSync(host.root, { recursive: true });
});

test("an existing file of the diverted name is not overwritten: it is an error, and nothing is changed", () => {
  const host = tree({ machinectl: "theirs", "machinectl.distrib": "somebody's" });
  expect(() => divert(host, PROGRAM, silent, nothing)).toThrow("in the way");
  expect([read(host, "machinectl"), read(host, "machinectl.distrib")]).toEqual(["theirs", "somebody's"]);
  rmSync(host.root, { recursive: true });
});

test("dpkg-divert moves the files of a Debian host; where it fails, nothing is recorded", () => {
  const host = tree({ machinectl: "theirs", "dpkg-divert": "" });
  const calls: string[][] = [];
  const fails: Run = (...words) => {
    calls.push(words);
    return { code: 2, stdout: "", output: "clash" };
  };
  expect(() => divert(host, PROGRAM, silent, fails)).toThrow("clash");
  const other = ["--divert", "/usr/bin/machinectl.distrib"];
  const words = ["dpkg-divert", "--root", host.root, "--quiet", "--local", "--no-rename", ...other];
  expect(calls).toEqual([[...words, "--add", "/usr/bin/machinectl"]]);
  undivert(host, silent, nothing);
  expect(read(host, "machinectl")).toBe("theirs");
  rmSync(host.root, { recursive: true });
});

test("a host whose dpkg-divert fails while a diversion is ended has its client nevertheless, and can be asked again", () => {
  const host = tree({ machinectl: "theirs", "dpkg-divert": "" });
  const works: Run = () => ({ code: 0, stdout: "", output: "" });
  const fails: Run = () => ({ code: 2, stdout: "", output: "No space left on device" });
  divert(host, PROGRAM, silent, works);
  expect(() => undivert(host, silent, fails)).toThrow("No space left on device");
  expect([bin(host), read(host, "machinectl")]).toEqual([["dpkg-divert", "machinectl"], "theirs"]);
  const lines: string[] = [];
  undivert(host, (line) => void lines.push(line), works);
  expect(lines).toEqual([`restored ${host.locate("/usr/bin/machinectl")}`]);
  expect([bin(host), read(host, "machinectl")]).toEqual([["dpkg-divert", "machinectl"], "theirs"]);
  rmSync(host.root, { recursive: true });
});

test.skipIf(!isRoot)("a full disk does not keep the clients of the distribution away", () => {
  const disk = mkdtempSync(join(tmpdir(), "machined-disk-"));
  const command = (...words: string[]) => expect(Bun.spawnSync(words).exitCode).toBe(0);
  command("mount", "-t", "tmpfs", "-o", "size=1M", "tmpfs", disk);
  try {
    for (const path of ["usr/bin", "usr/local/lib/machined"]) mkdirSync(join(disk, path), { recursive: true });
    for (const name of ["machinectl", "importctl"]) writeFileSync(join(disk, "usr/bin", name), name);
    const host = new Host(disk);
    divert(host, PROGRAM, silent, nothing);
    expect(() => writeFileSync(join(disk, "full"), Buffer.alloc(2 << 20, 1))).toThrow("ENOSPC");
    undivert(host, silent, nothing);
    expect([bin(host), read(host, "importctl")]).toEqual([["importctl", "machinectl"], "importctl"]);
    expect(readdirSync(host.locate("/usr/local/lib/machined"))).toEqual([]);
  } finally {
    command("umount", "-l", disk);
    rmSync(disk, { recursive: true });
  }
});

const hasDpkg = isRoot && havePrograms("diversions in a tree of dpkg(1)", "dpkg", "dpkg-deb", "dpkg-divert");

/** Makes a tree in which dpkg(1) installs packages, and whose /bin is a link. */
function dpkgTree(): Host {
  const host = tree({ "dpkg-divert": "" });
  for (const directory of ["info", "updates"])
    mkdirSync(host.locate(`/var/lib/dpkg/${directory}`), { recursive: true });
  for (const file of ["status", "available"]) writeFileSync(host.locate(`/var/lib/dpkg/${file}`), "");
  symlinkSync("usr/bin", join(host.root, "bin"));
  return host;
}

/** Installs a package with machinectl at a path, whose text is the version. */
function installPackage(host: Host, path: string, version: number): void {
  const folder = mkdtempSync(join(tmpdir(), "machined-package-"));
  const [content, archive] = [join(folder, "content"), join(folder, "package.deb")];
  mkdirSync(join(content, "DEBIAN"), { recursive: true, mode: 0o755 });
  mkdirSync(dirname(join(content, path)), { recursive: true });
  writeFileSync(join(content, path), String(version));
  // As every host has: without files below /bin, dpkg(1) would remove the link.
  mkdirSync(join(content, "bin"), { recursive: true });
  writeFileSync(join(content, "bin/other"), "");
  const fields = { Package: "theirs", Version: version, Architecture: "all", Maintainer: "A <a@b.example>" };
  const text = Object.entries({ ...fields, Description: "theirs" }).map(([name, value]) => `${name}: ${value}\n`);
  writeFileSync(join(content, "DEBIAN/control"), text.join(""));
  expect(run("dpkg-deb", "--root-owner-group", "--build", content, archive).code).toBe(0);
  const installed = run("dpkg", `--root=${host.root}`, "--log=/dev/null", "--install", archive);
  expect([installed.code, installed.output]).toEqual([0, installed.output]);
  rmSync(folder, { recursive: true });
}

describe.skipIf(!hasDpkg).each(["/bin/machinectl", "/usr/bin/machinectl"])(
  "a client that a package has as %s",
  (path) => {
    test("stays diverted when the package is updated, and is restored", () => {
      const host = dpkgTree();
      installPackage(host, path, 1);
      for (const version of [2, 3]) {
        divert(host, PROGRAM, silent, run);
        installPackage(host, path, version);
        expect(readlinkSync(host.locate("/usr/bin/machinectl"))).toBe(PROGRAM);
        expect(read(host, "machinectl.distrib")).toBe(String(version));
      }
      undivert(host, silent, run);
      expect(read(host, "machinectl")).toBe("3");
      expect(run("dpkg-divert", "--root", host.root, "--list").stdout).toBe("");
      rmSync(host.root, { recursive: true });
    });

    test("is not lost when an update of the package has it under the other path", () => {
      const other = path === "/bin/machinectl" ? "/usr/bin/machinectl" : "/bin/machinectl";
      const host = dpkgTree();
      installPackage(host, path, 1);
      divert(host, PROGRAM, silent, run);
      installPackage(host, other, 2);
      divert(host, PROGRAM, silent, run);
      installPackage(host, other, 3);
      expect(readlinkSync(host.locate("/usr/bin/machinectl"))).toBe(PROGRAM);
      expect(read(host, "machinectl.distrib")).toBe("3");
      undivert(host, silent, run);
      expect(read(host, "machinectl")).toBe("3");
      expect(run("dpkg-divert", "--root", host.root, "--list").stdout).toBe("");
      rmSync(host.root, { recursive: true });
    });

    test("is diverted no longer after undivert(), also where another file has its place", () => {
      const host = dpkgTree();
      installPackage(host, path, 1);
      divert(host, PROGRAM, silent, run);
      rmSync(host.locate("/usr/bin/machinectl"));
      writeFileSync(host.locate("/usr/bin/machinectl"), "the administrator's");
      undivert(host, silent, run);
      expect(read(host, "machinectl")).toBe("the administrator's");
      expect(run("dpkg-divert", "--root", host.root, "--list").stdout).toBe("");
      rmSync(host.root, { recursive: true });
    });
  },
);

test.each(["null", "{}", "[7]", '[{"path":"/usr/bin/machinectl"}]', '[{"path":"/etc/passwd","by":"rename"}]', "["])(
  "an invalid record (%s) is an error that names it and says what helps, and nothing is changed",
  (text) => {
    const host = tree({ machinectl: "theirs" });
    writeFileSync(host.locate("/usr/local/lib/machined/divert.json"), text);
    for (const act of [() => divert(host, PROGRAM, silent, nothing), () => undivert(host, silent, nothing)])
      expect(act).toThrow("move it away, and rename files with the suffix .distrib in /usr/bin back yourself");
    expect(bin(host)).toEqual(["machinectl"]);
    rmSync(host.root, { recursive: true });
  },
);
