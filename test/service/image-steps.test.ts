// Removals, renamings and clones of images are killed before each of their changes to the file system. Afterwards, and
// after a sweep, an image has its settings, and no settings are there without an image.
import { beforeEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { renameImage } from "../../src/registry/image/change.ts";
import type { Image } from "../../src/registry/image/image.ts";
import { ImageSearch } from "../../src/registry/image/search.ts";
import { hasLeftovers, sweepAll } from "../../src/registry/image/sweep.ts";
import { isRoot } from "../kernel/support.ts";
import { needsRoot } from "../lib/daemon.ts";
import { havePrograms } from "../lib/programs.ts";
import { GUARD_MS } from "../lib/wait-for.ts";
import { ImageHost } from "./image-host.ts";

setDefaultTimeout(GUARD_MS);

const SOURCE = join(import.meta.dir, "../../src");
const MAIN = join(SOURCE, "main.ts");
const can = isRoot && havePrograms("operations that are killed at each step", "strace");
const reason = can ? "" : isRoot ? " (left out: no strace here)" : needsRoot;
/** The system calls before which an operation is killed. strace(1) counts each for itself. */
const CHANGES = ["unlinkat", "renameat2"] as const;
/** More of them than any of these operations makes. */
const MANY = 60;

describe.skipIf(!can)(`operations that are killed at each step${reason}`, () => {
  const host = new ImageHost();
  const search = new ImageSearch(host.layout.searchPath, { hasHost: false });
  const [settings = ""] = host.layout.settings;
  const companionsOf = (name: string) => [
    join(settings, `${name}.nspawn`),
    ...["nspawn", "roothash"].map((suffix) => join(host.pool, `${name}.${suffix}`)),
  ];
  const found = (name: string) => search.find(name) as Image;
  const allNames = () => [...readdirSync(host.pool), ...readdirSync(settings)].sort();

  beforeEach(() => {
    host.clear();
    for (const name of readdirSync(settings)) rmSync(join(settings, name));
    for (const file of companionsOf("other")) writeFileSync(file, "other");
  });

  /** Makes an image with its companions. */
  function make(kind: "tree" | "disk" | "version", name = "web"): void {
    if (kind === "disk") writeFileSync(join(host.pool, `${name}.raw`), "disk");
    else {
      const tree = kind === "tree" ? join(host.pool, name) : join(host.pool, `${name}.v`, `${name}_1.0`);
      mkdirSync(join(tree, "etc"), { recursive: true });
      writeFileSync(join(tree, "etc/file"), name);
    }
    for (const file of companionsOf(name)) writeFileSync(file, name);
    // Companions of an image in a folder of versions are in that folder.
    if (kind === "version") for (const file of companionsOf(name).slice(1)) rmSync(file);
  }

  const requestOn = (image: Image, more: object = {}) => {
    const target = { name: image.name, path: image.path, identity: image.facts.identity };
    return JSON.stringify({ layout: host.layout, target, ...more });
  };
  const worker = (program: string, request: string) => [MAIN, "machined-worker", program, request];
  const removal = () => worker("remove", requestOn(found("web")));
  const cloning = () => worker("clone", requestOn(found("web"), { newName: "new", readOnly: false }));
  const renaming = () => {
    const from = (path: string) => JSON.stringify(join(SOURCE, "registry/image", path));
    return [
      "-e",
      `import { renameImage } from ${from("change.ts")}; import { ImageSearch } from ${from("search.ts")};
       const layout = ${JSON.stringify(host.layout)}; const search = new ImageSearch(layout.searchPath);
       renameImage(layout, search, search.find("web"), "new");`,
    ];
  };

  /** Runs a program and kills it before its system call of that number; returns whether it was killed. */
  function killedBefore(call: string, number: number, program: readonly string[]): boolean {
    const inject = `inject=${call}:signal=KILL:when=${number}`;
    const options = ["-f", "-qq", "-o", "/dev/null", "-e", `trace=${call}`, "-e", inject];
    const words = ["strace", ...options, process.execPath, ...program];
    // A worker writes its result to the fourth stream.
    const { exitCode, signalCode, stderr } = Bun.spawnSync(["sh", "-c", 'exec "$@" 3>/dev/null', "sh", ...words], {
      env: { PATH: process.env["PATH"] ?? "" },
      stdin: "ignore",
    });
    const isKilled = signalCode === "SIGKILL" || exitCode === 137;
    if (!isKilled && exitCode !== 0) throw new Error(`${program[1]} failed: ${stderr}`);
    return isKilled;
  }

  /** Calls `check` after each kill, and after the runs that were not killed. Returns the number of kills. */
  function atEachStep(prepare: () => readonly string[], check: (step: string) => void): number {
    const killsBefore = (call: string) => {
      for (let number = 1; number < MANY; number++) {
        const isKilled = killedBefore(call, number, prepare());
        check(`${call} ${number}`);
        expect([call, number, hasLeftovers(host.layout)]).toEqual([call, number, false]);
        if (!isKilled) return number - 1;
      }
      throw new Error(`more than ${MANY} of ${call}`);
    };
    return CHANGES.map(killsBefore).reduce((sum, count) => sum + count);
  }

  const OTHERS = companionsOf("other");

  test.each(["tree", "disk", "version"] as const)(
    "a removal (%s): after a sweep everything is there, or nothing",
    (kind) => {
      const prepare = () => {
        make(kind);
        return removal();
      };
      let removed = 0;
      const kills = atEachStep(prepare, (step) => {
        sweepAll(host.layout);
        const companions = companionsOf("web").filter((file) => existsSync(file)).length;
        const isThere = search.find("web") !== null;
        if (!isThere) removed++;
        expect([step, companions > 0]).toEqual([step, isThere]);
        if (isThere) rmSync(found("web").path, { recursive: true });
        else expect(readdirSync(host.pool).filter((name) => name.startsWith(".#"))).toEqual([]);
        if (kind === "version") expect(readdirSync(join(host.pool, "web.v"))).toEqual([]);
      });
      expect([kills > 2, removed > 1]).toEqual([true, true]);
      expect(OTHERS.map((file) => existsSync(file))).toEqual([true, true, true]);
    },
  );

  test("a renaming: after a sweep the image has its companions under its name, and the other name has none", () => {
    const prepare = () => {
      host.clear();
      make("tree");
      for (const file of companionsOf("new")) rmSync(file, { force: true });
      return renaming();
    };
    const kills = atEachStep(prepare, (step) => {
      sweepAll(host.layout);
      const [is, was] = search.find("new") === null ? ["web", "new"] : ["new", "web"];
      const contents = companionsOf(is).map((file) => readFileSync(file, "utf8"));
      const left = companionsOf(was).filter((file) => existsSync(file));
      expect([step, contents, left]).toEqual([step, ["web", "web", "web"], []]);
    });
    expect(kills).toBeGreaterThan(3);
  });

  test.each(["tree", "disk"] as const)(
    "a clone (%s): settings of the new name are there only with the clone",
    (kind) => {
      const prepare = () => {
        host.clear();
        make(kind);
        for (const file of companionsOf("new")) rmSync(file, { force: true });
        return cloning();
      };
      const kills = atEachStep(prepare, (step) => {
        sweepAll(host.layout);
        const isThere = search.find("new") !== null;
        const there = companionsOf("new").map((file) => existsSync(file));
        expect([step, there]).toEqual([step, [isThere, isThere, isThere]]);
      });
      expect(kills).toBeGreaterThan(5);
    },
  );

  /** Kills a removal after the image is gone, before its companions are. */
  function halfRemoved(): void {
    make("disk");
    expect(killedBefore("unlinkat", 2, removal())).toBe(true);
    expect([search.find("web"), companionsOf("web").every((file) => existsSync(file))]).toEqual([null, true]);
  }

  test("settings are kept where an image of the name was made before the sweep", () => {
    halfRemoved();
    mkdirSync(join(host.pool, "web"));
    sweepAll(host.layout);
    expect(companionsOf("web").map((file) => existsSync(file))).toEqual([true, true, true]);
    // Nor does a later sweep, without the image, remove them.
    rmSync(join(host.pool, "web"), { recursive: true });
    sweepAll(host.layout);
    expect(companionsOf("web").map((file) => existsSync(file))).toEqual([true, true, true]);
  });

  test("settings that were written after the removal are kept, and those without an image that no removal left", () => {
    halfRemoved();
    const [ofHost = "", beside = "", hash = ""] = companionsOf("web");
    writeFileSync(ofHost, "for the next image of this name");
    rmSync(beside);
    writeFileSync(beside, "for the next image of this name");
    sweepAll(host.layout);
    expect([ofHost, beside, hash].map((file) => existsSync(file))).toEqual([true, true, false]);
    expect(OTHERS.map((file) => existsSync(file))).toEqual([true, true, true]);
  });

  test("a record that is cut off or of another program is removed, and nothing else", () => {
    for (const text of ["", "{", "null", "[]", '{"image":"other","newPath":"","identity":"","companions":[null]}']) {
      writeFileSync(join(host.pool, ".#machined-0000000000000000.rest"), text);
      sweepAll(host.layout);
      expect(allNames()).toEqual(["other.nspawn", "other.nspawn", "other.roothash"]);
    }
  });

  test("an image without companions is removed and renamed without a record", () => {
    mkdirSync(join(host.pool, "plain"));
    renameImage(host.layout, search, found("plain"), "renamed");
    expect(killedBefore("unlinkat", MANY, worker("remove", requestOn(found("renamed"))))).toBe(false);
    expect(allNames()).toEqual(["other.nspawn", "other.nspawn", "other.roothash"]);
  });
});
