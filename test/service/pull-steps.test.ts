// Pulls with small files beside the image (settings, root hashes) are killed before each of their changes to the
// directory of images. An image has its small files whenever it has its name; after a sweep, there are none without it.
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { isRoot } from "../kernel/support.ts";
import { needsRoot } from "../lib/daemon.ts";
import { havePrograms } from "../lib/programs.ts";
import { GUARD_MS } from "../lib/wait-for.ts";
import { archive } from "../unit/worker/archive-builder.ts";
import { ImageHost } from "./image-host.ts";

setDefaultTimeout(GUARD_MS);

const MAIN = join(import.meta.dir, "../../src/main.ts");
const can = isRoot && havePrograms("pulls that are killed at each step", "strace");
const reason = can ? "" : isRoot ? " (left out: no strace here)" : needsRoot;
/** More renamings than any pull makes in one thread. */
const MANY = 30;

describe.skipIf(!can)(`pulls that are killed at each step${reason}`, () => {
  const host = new ImageHost();
  const source = join(host.path, "source");
  mkdirSync(source);
  writeFileSync(join(source, "web.raw"), Buffer.alloc(8192, 1));
  writeFileSync(join(source, "web.tar"), archive({ name: "etc/", type: "5" }, { name: "etc/file", data: "text" }));
  for (const suffix of ["nspawn", "roothash"]) writeFileSync(join(source, `web.${suffix}`), suffix);

  const worker = (program: string, ...words: string[]) => [process.execPath, MAIN, program, ...words];
  const env = { PATH: process.env["PATH"] ?? "", SYSTEMD_IMPORT_SYNC: "no", MACHINED_IMAGE_ROOT: host.path };

  /** Runs a pull and kills it before its renaming of that number; returns whether it was killed. */
  function killedBefore(number: number, words: readonly string[]): boolean {
    const inject = `inject=renameat2:signal=KILL:when=${number}`;
    const strace = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=renameat2", "-e", inject];
    const { exitCode, signalCode, stderr } = Bun.spawnSync([...strace, ...words], { env, stdin: "ignore" });
    const isKilled = signalCode === "SIGKILL" || exitCode === 137;
    if (!isKilled && exitCode !== 0) throw new Error(`${words.join(" ")} failed: ${stderr}`);
    return isKilled;
  }

  /** For each image in the pool, kept downloads too: which of the small files there are. */
  function sidesOf(kind: "raw" | "tar"): { image: string; isThere: boolean; sides: boolean[] }[] {
    const suffix = kind === "raw" ? ".raw" : "";
    const kept = host.entries().filter((name) => name.startsWith(`.${kind}-`));
    const stems = new Set(["web", ...kept.map((name) => name.replace(/\.(raw|nspawn|roothash)$/, ""))]);
    return [...stems].map((image) => {
      const isOf = (end: string) => existsSync(join(host.pool, image + end));
      const ends = kind === "raw" ? [".nspawn", ".roothash"] : [".nspawn"];
      return { image, isThere: isOf(suffix), sides: ends.map(isOf) };
    });
  }

  test.each([
    ["raw", "yes"],
    ["raw", "no"],
    ["tar", "yes"],
    ["tar", "no"],
  ] as const)("%s, kept: %s: no image is without its small files", (kind, kept) => {
    let kills = 0;
    for (let isKilled = true; isKilled; kills += isKilled ? 1 : 0) {
      host.clear();
      const options = [`--image-root=${host.pool}`, "--verify=no", `--keep-download=${kept}`];
      const words = [...options, `file://${source}/web.${kind}`, "web"];
      isKilled = killedBefore(kills + 1, worker("systemd-pull", kind, ...words));
      const all = sidesOf(kind);
      for (const { image, isThere, sides } of all.filter((row) => row.isThere)) {
        expect([kills, image, isThere, sides.includes(false)]).toEqual([kills, image, true, false]);
      }
      Bun.spawnSync(worker("systemd-import-sweep", host.pool), { env });
      for (const { image, isThere, sides } of sidesOf(kind)) {
        expect([kills, image, isThere, ...sides]).toEqual([kills, image, isThere, ...sides.map(() => isThere)]);
      }
      expect(host.entries().filter((name) => name.startsWith(".#"))).toEqual([]);
      if (kills > MANY) throw new Error("more renamings than expected");
    }
    expect(kills).toBeGreaterThan(kind === "raw" ? 2 : 1);
  });

  test("an image that is replaced has its own small files until the new one has its name", () => {
    const files = ["web.raw", "web.nspawn", "web.roothash"];
    const newOf = (file: string) => readFileSync(join(source, file));
    let kills = 0;
    let replaced = 0;
    for (let isKilled = true; isKilled; kills += isKilled ? 1 : 0) {
      host.clear();
      for (const file of files) writeFileSync(join(host.pool, file), "old");
      const options = [`--image-root=${host.pool}`, "--verify=no", "--keep-download=no", "--force"];
      isKilled = killedBefore(kills + 1, worker("systemd-pull", "raw", ...options, `file://${source}/web.raw`, "web"));
      Bun.spawnSync(worker("systemd-import-sweep", host.pool), { env });
      const areNew = files.map((file) => readFileSync(join(host.pool, file)).equals(newOf(file)));
      const isNew = areNew[0] === true;
      if (isNew) replaced++;
      expect([kills, ...areNew]).toEqual([kills, isNew, isNew, isNew]);
      expect(host.entries()).toEqual([...files].sort());
    }
    expect([kills > 2, replaced > 1]).toEqual([true, true]);
  });
});
