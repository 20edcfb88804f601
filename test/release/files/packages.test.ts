// The files of a release, checked with the tools of the distributions.
import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { version } from "../../../package.json";
import { releaseFolder } from "../../lib/release.ts";
import { GUARD_MS } from "../../lib/wait-for.ts";

/** rpm(8) creates a database wherever it looks for one. */
const database = mkdtempSync(join(tmpdir(), "machined-rpm-"));
afterAll(() => rmSync(database, { recursive: true }));

const names = readdirSync(releaseFolder);
const debs = names.filter((name) => name.endsWith(".deb"));
const rpms = names.filter((name) => name.endsWith(".rpm"));

function run(...words: string[]): string {
  const child = Bun.spawnSync(words, {
    cwd: releaseFolder,
    env: { ...process.env, LC_ALL: "C.UTF-8" },
    stdin: "ignore",
  });
  if (child.exitCode !== 0) throw new Error(`'${words.join(" ")}': ${child.stdout}${child.stderr}`);
  return child.stdout.toString();
}

test("a release has four executables, an archive of each, two packages of each format, and three lists", () => {
  expect(names.sort()).toEqual(
    [
      "SHA256SUMS",
      "THIRD-PARTY-NOTICES",
      `machined-${version}.cdx.json`,
      ...["x64", "arm64", "x64-musl", "arm64-musl"].flatMap((name) => [
        `machined-linux-${name}`,
        `machined-${version}-linux-${name}.tar.gz`,
      ]),
      ...["amd64", "arm64"].map((name) => `machined_${version}-1_${name}.deb`),
      ...["x86_64", "aarch64"].map((name) => `machined-${version}-1.${name}.rpm`),
    ].sort(),
  );
});

test(
  "SHA256SUMS has the right checksum of every other file",
  () => {
    expect(run("sha256sum", "--check", "--strict", "SHA256SUMS").trim().split("\n")).toHaveLength(names.length - 1);
  },
  GUARD_MS,
);

test("every executable is for the processor and the C library in its name", () => {
  const interpreters: Readonly<Record<string, string>> = {
    x64: "/lib64/ld-linux-x86-64.so.2",
    arm64: "/lib/ld-linux-aarch64.so.1",
    "x64-musl": "/lib/ld-musl-x86_64.so.1",
    "arm64-musl": "/lib/ld-musl-aarch64.so.1",
  };
  for (const [name, interpreter] of Object.entries(interpreters)) {
    const head = readFileSync(join(releaseFolder, `machined-linux-${name}`)).subarray(0, 1 << 16);
    expect([name, head.readUInt16LE(18)]).toEqual([name, name.startsWith("arm64") ? 183 : 62]);
    expect([name, head.includes(`${interpreter}\0`)]).toEqual([name, true]);
  }
});

test(
  "an archive has the executable, the project's licence, and those of its parts",
  () => {
    for (const name of ["x64", "arm64", "x64-musl", "arm64-musl"]) {
      const title = `machined-${version}-linux-${name}`;
      const listed = run("tar", "tf", `${title}.tar.gz`).trim().split("\n");
      for (const file of [
        "machined",
        "LICENSE",
        "README.md",
        "docs/fleet.md",
        "THIRD-PARTY-NOTICES",
        `machined-${version}.cdx.json`,
      ])
        expect(listed).toContain(`${title}/${file}`);
    }
  },
  GUARD_MS,
);

describe.each(debs)("%s", (deb) => {
  test(
    "lintian finds no error",
    () => {
      const child = Bun.spawnSync(["lintian", "--fail-on=error", "--allow-root", deb], { cwd: releaseFolder });
      expect(`${child.stdout}${child.stderr}`.split("\n").filter((line) => line.startsWith("E:"))).toEqual([]);
      expect(child.exitCode).toBe(0);
    },
    GUARD_MS,
  );

  test(
    "has no files outside of its own folders, and no Conflicts or Replaces",
    () => {
      const listed = run("dpkg-deb", "--contents", deb).trim().split("\n");
      const files = listed.filter((line) => !line.startsWith("d")).map((line) => line.split(/\s+/)[5] ?? "");
      expect(files.length).toBeGreaterThan(30);
      const own = /^\.\/usr\/(lib\/machined|share\/doc\/machined|share\/lintian\/overrides)\//;
      expect(files.filter((path) => !own.test(path))).toEqual([]);
      expect(listed.filter((line) => !line.includes(" root/root "))).toEqual([]);
      expect(run("dpkg-deb", "--field", deb, "Conflicts", "Breaks", "Replaces", "Provides")).toBe("");
      expect(run("dpkg-deb", "--field", deb, "Version")).toBe(`${version}-1\n`);
    },
    GUARD_MS,
  );
});

describe.each(rpms)("%s", (rpm) => {
  test(
    "is for its processor, requires the C library, and has no files outside of its own folders",
    () => {
      const query = (...words: string[]) =>
        run("rpm", "--query", "--package", `--dbpath=${database}`, ...words, rpm).trim();
      const cpu = rpm.includes("aarch64") ? "aarch64" : "x86_64";
      expect(query("--queryformat=%{NAME} %{VERSION} %{ARCH} %{BUILDHOST}")).toBe(
        `machined ${version} ${cpu} reproducible`,
      );
      expect(query("--requires")).toContain("libc.so.6(GLIBC_2.17)(64bit)");
      const files = query("--list").split("\n");
      expect(files).toContain("/usr/lib/machined/machined");
      expect(files.filter((path) => !/^\/usr\/(lib|share\/doc)\/machined(\/|$)/.test(path))).toEqual([]);
      expect(query("--scripts")).toContain("/usr/lib/machined/machined install --keep-changes --now");
    },
    GUARD_MS,
  );
});
