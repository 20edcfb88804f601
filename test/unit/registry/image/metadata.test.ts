import { afterAll, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openPath } from "../../../../src/kernel/file/fd.ts";
import { readMetadata } from "../../../../src/registry/image/metadata.ts";

const base = mkdtempSync(join(tmpdir(), "image-metadata-"));
afterAll(() => rmSync(base, { recursive: true, force: true }));

let count = 0;

function tree(files: Record<string, string>): string {
  const path = join(base, `t${count++}`);
  for (const directory of ["etc", "usr/lib"]) mkdirSync(join(path, directory), { recursive: true });
  for (const [name, text] of Object.entries(files)) writeFileSync(join(path, name), text);
  return path;
}

function metadata(path: string) {
  using root = openPath(path, "directory");
  const { hostname, machineId, machineInfo, osRelease } = readMetadata(root);
  const id = machineId === null ? null : Buffer.from(machineId).toString("hex");
  return { hostname, id, machineInfo: [...machineInfo], osRelease: [...osRelease] };
}

const EMPTY = { hostname: "", id: null, machineInfo: [], osRelease: [] };

test("host name, machine id, machine-info and os-release are read from an image", () => {
  const path = tree({
    "etc/hostname": "# mine\n\n web-1 \n",
    "etc/machine-id": "0123456789abcdef0123456789abcdef\n",
    "etc/machine-info": 'PRETTY_HOSTNAME="P H"\nDEPLOYMENT=prod\n',
    "etc/os-release": "ID=test\nNAME='Te st'\n",
  });
  expect(metadata(path)).toEqual({
    hostname: "web-1",
    id: "0123456789abcdef0123456789abcdef",
    machineInfo: [
      ["PRETTY_HOSTNAME", "P H"],
      ["DEPLOYMENT", "prod"],
    ],
    osRelease: [
      ["ID", "test"],
      ["NAME", "Te st"],
    ],
  });
});

test("a host name can have the patterns of systemd 258", () => {
  const hostname = (text: string) => metadata(tree({ "etc/hostname": text })).hostname;
  expect(["web-????\n", "a.$adj-$.b\n", "-?\n", "w?b (x)\n"].map(hostname)).toEqual([
    "web-????",
    "a.$adj-$.b",
    "",
    "w?bx",
  ]);
});

test("M163: missing and invalid values are returned as empty", () => {
  expect(metadata(tree({}))).toEqual(EMPTY);
  const path = tree({ "etc/hostname": "-\n", "etc/machine-id": "uninitialized\n", "etc/machine-info": "nonsense" });
  expect(metadata(path)).toEqual(EMPTY);
  expect(metadata(tree({ "etc/machine-id": "0".repeat(32) }))).toEqual(EMPTY);
});

test("os-release is looked up in /etc, then in /usr/lib, and links are followed inside the tree", () => {
  const path = tree({ "usr/lib/os-release": "ID=vendor\n" });
  expect(metadata(path).osRelease).toEqual([["ID", "vendor"]]);
  symlinkSync("/usr/lib/os-release", join(path, "etc/os-release"));
  expect(metadata(path).osRelease).toEqual([["ID", "vendor"]]);
});

test("links do not lead to files of the host, and only regular files are read", () => {
  const path = tree({});
  symlinkSync("/../../../../../etc/hostname", join(path, "etc/hostname"));
  symlinkSync(join(base, "../../etc/machine-id"), join(path, "etc/machine-id"));
  Bun.spawnSync(["mkfifo", join(path, "etc/os-release")]);
  mkdirSync(join(path, "etc/machine-info"));
  symlinkSync("/proc/self/environ", join(path, "usr/lib/os-release"));
  expect(metadata(path)).toEqual(EMPTY);
});

test("a file that is too long counts as missing", () => {
  expect(metadata(tree({ "etc/os-release": `ID=${"x".repeat(300 << 10)}\n` }))).toEqual(EMPTY);
});

test("a value that is not UTF-8 does not prevent reading the others", () => {
  const path = tree({});
  writeFileSync(join(path, "etc/os-release"), Buffer.from([0x49, 0x44, 0x3d, 0xff, 0x00, 0x0a, 0x41, 0x3d, 0x62]));
  expect(metadata(path).osRelease.map(([key]) => key)).toEqual(["ID", "A"]);
});
