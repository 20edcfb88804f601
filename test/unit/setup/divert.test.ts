// machined install --divert on trees of files.
import { expect, test } from "bun:test";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { divert, mendDiversions, undivert } from "../../../src/setup/divert.ts";
import { Host } from "../../../src/setup/host.ts";
import type { Run } from "../../../src/setup/run-command.ts";

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
  const words = ["dpkg-divert", "--root", host.root, "--quiet", "--local", "--rename", ...other];
  expect(calls).toEqual([[...words, "--add", "/usr/bin/machinectl"]]);
  undivert(host, silent, nothing);
  expect(read(host, "machinectl")).toBe("theirs");
  rmSync(host.root, { recursive: true });
});

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
