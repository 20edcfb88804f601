// A second build of the same sources, in another folder and without a network, is identical byte by byte.
import { afterAll, expect, test } from "bun:test";
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { havePrograms } from "../../lib/programs.ts";
import { releaseFolder } from "../../lib/release.ts";
import { TOP } from "../../lib/run-tests.ts";
import { GUARD_MS } from "../../lib/wait-for.ts";

const scratch = mkdtempSync(join(tmpdir(), "machined-reproducible-"));

afterAll(() => rmSync(scratch, { recursive: true, force: true }));

/** The files that git tracks or would track, as they are now; the packages; and the archives with Bun. */
function copySources(target: string): void {
  const listed = Bun.spawnSync(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], { cwd: TOP });
  for (const name of listed.stdout.toString().split("\0").filter(Boolean)) {
    mkdirSync(dirname(join(target, name)), { recursive: true });
    cpSync(join(TOP, name), join(target, name));
  }
  cpSync(join(TOP, "node_modules"), join(target, "node_modules"), { recursive: true, verbatimSymlinks: true });
  mkdirSync(join(target, "dist/cache"), { recursive: true });
  for (const name of readdirSync(join(TOP, "dist/cache"))) {
    cpSync(join(TOP, "dist/cache", name), join(target, "dist/cache", name));
  }
}

const canCutOff = process.geteuid?.() === 0 && havePrograms("a build without a network", "unshare");

test(
  "two builds are identical byte by byte",
  () => {
    const copy = join(scratch, "another/folder");
    copySources(copy);
    const date = Bun.spawnSync(["git", "log", "-1", "--format=%ct"], { cwd: TOP }).stdout.toString().trim();
    const offline = canCutOff ? ["unshare", "--net"] : [];
    const command = [...offline, process.execPath, join(copy, "install/release.ts"), join(copy, "out")];
    const env = { ...process.env, SOURCE_DATE_EPOCH: date, TZ: "Asia/Tokyo", HOME: scratch };
    const build = Bun.spawnSync(["sh", "-c", 'umask 077; exec "$@"', "sh", ...command], { cwd: copy, env });
    expect(`${build.stderr}`).toBe("");
    expect(build.exitCode).toBe(0);
    const sums = (folder: string) => readFileSync(join(folder, "SHA256SUMS"), "utf8").split("\n");
    expect(sums(join(copy, "out"))).toEqual(sums(releaseFolder));
  },
  3 * GUARD_MS,
);
