// package-lock.json is the same for every machine: it names the packages for all of them, so that `npm ci` accepts it
// anywhere, and no registry. If node_modules exists, npm lists only packages for its own machine: generate the file
// again with
//   rm -rf node_modules package-lock.json && npx -y npm@10 install --package-lock-only
// by npm 10, because npm 11 writes a "libc" that npm 10 removes again.
import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { TOP } from "../lib/run-tests.ts";

interface Locked {
  readonly version?: string;
  readonly resolved?: string;
  readonly integrity?: string;
  readonly link?: true;
  readonly libc?: unknown;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

const text = readFileSync(join(TOP, "package-lock.json"), "utf8");
const { packages } = JSON.parse(text) as { packages: Readonly<Record<string, Locked>> };
const entries = Object.entries(packages);
const project = JSON.parse(readFileSync(join(TOP, "package.json"), "utf8")) as Record<string, Record<string, string>>;

describe("package-lock.json", () => {
  test("names the packages that package.json requires", () => {
    const root = packages[""] as unknown as typeof project;
    for (const kind of ["dependencies", "devDependencies"]) expect(root[kind]).toEqual(project[kind] as never);
  });

  test("names every optional package of a package, for all machines", () => {
    const wanted = entries.flatMap(([, { optionalDependencies = {} }]) => Object.entries(optionalDependencies));
    expect(wanted.length).toBeGreaterThan(20);
    const missing = wanted.filter(([name]) => packages[`node_modules/${name}`] === undefined);
    expect(missing.map(([name]) => name)).toEqual([]);
  });

  test.each(["x64", "aarch64", "x64-musl", "aarch64-musl"])("has Bun for linux-%s", (machine) => {
    const bun = packages["node_modules/bun"];
    expect(packages[`node_modules/@oven/bun-linux-${machine}`]?.version).toBe(bun?.version as string);
  });

  test("has a checksum for each package that is downloaded", () => {
    const without = entries.filter(([path, { link, integrity }]) => {
      return path.startsWith("node_modules/") && link !== true && !integrity?.startsWith("sha512-");
    });
    expect(without.map(([path]) => path)).toEqual([]);
  });

  test("names no registry, and no field that some version of npm would remove", () => {
    expect(text).not.toMatch(/https?:\/\/registry\.|"resolved": "https?:/);
    expect(entries.filter(([, { libc }]) => libc !== undefined)).toEqual([]);
    expect(readFileSync(join(TOP, ".npmrc"), "utf8")).toContain("omit-lockfile-registry-resolved=true");
  });
});
