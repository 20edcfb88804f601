// Prepares the host suite: installs packages, makes the cached trees of beds, copies the executable. Returns the reason
// if the suite cannot run.
import { chmodSync, copyFileSync, existsSync } from "node:fs";
import { join } from "node:path";
import { TEST_PROGRAMS } from "./programs.ts";
import { runCommand, TOP } from "./run-tests.ts";
import { makeDirectory } from "./running.ts";

export const BED = join(TOP, "test/host/bed");

/** The names of trees, with the version of systemd in each. */
export const TREES = { bookworm: 252, trixie: 257, forky: 262 } as const;
export type Tree = keyof typeof TREES;
export const DEFAULT_TREES: readonly Tree[] = ["bookworm", "forky"];

/** Programs that are needed to make and boot beds, with their Debian packages. */
const BED_PROGRAMS = {
  debootstrap: "debootstrap",
  "systemd-nspawn": "systemd-container",
  "mkfs.btrfs": "btrfs-progs",
  nsenter: "util-linux",
  pgrep: "procps",
} as const;

export const isRoot = process.geteuid?.() === 0;

/** How long apt-get waits for another one. */
const LOCK_SECONDS = 600;

/** Installs missing programs, if the caller is root and apt-get exists; returns the programs that are still missing. */
async function provide(programs: Readonly<Record<string, string>>): Promise<string[]> {
  const missing = () => Object.keys(programs).filter((program) => Bun.which(program) === null);
  const wanted = missing();
  if (wanted.length === 0 || !isRoot || Bun.which("apt-get") === null) return wanted;
  const packages = [...new Set(wanted.flatMap((program) => (programs[program] ?? "").split(" ")))];
  console.log(`== installing ${packages.join(" ")}`);
  const env = { DEBIAN_FRONTEND: "noninteractive" };
  // A machine that has just been started may be installing updates.
  const words = ["apt-get", "-o", `DPkg::Lock::Timeout=${LOCK_SECONDS}`, "-qq"];
  const isInstalled = async (names: readonly string[]) =>
    (await runCommand([...words, "-y", "--no-install-recommends", "install", ...names], { env })) === 0;
  if (!(await isInstalled(packages))) {
    await runCommand([...words, "update"], { env });
    // One package that this release of the distribution lacks keeps apt-get from installing the others.
    if (!(await isInstalled(packages))) for (const name of packages) await isInstalled([name]);
  }
  return missing();
}

/**
 * Installs the programs for tests outside of beds; returns those that are still missing, whose tests are left out and
 * reported.
 */
export function provideTestPrograms(): Promise<string[]> {
  return provide(TEST_PROGRAMS);
}

/** Programs for the tests of a release, in addition to those that make it. */
const RELEASE_TEST_PROGRAMS = {
  lintian: "lintian",
  rpm: "rpm",
  sha256sum: "coreutils",
  unshare: "util-linux",
} as const;

/** Installs the programs for the tests of a release. Tests of programs that are still missing fail. */
export async function provideReleaseTestPrograms(): Promise<void> {
  await provide(RELEASE_TEST_PROGRAMS);
}

/** Installs the programs for beds; returns the reason if beds cannot be made, else null. */
export async function provideBedPrograms(): Promise<string | null> {
  if (!isRoot) return "booting a bed needs root";
  const missing = await provide(BED_PROGRAMS);
  return missing.length > 0 ? `${missing.join(", ")} not found, and there is no apt-get that could install it` : null;
}

/** Makes the trees of beds that are not cached; returns the reason if that is not possible, else null. */
export async function makeTrees(trees: readonly Tree[]): Promise<string | null> {
  for (const tree of trees) {
    if ((await runCommand([BED, "create", tree], { timeoutMs: 15 * 60_000 })) !== 0) {
      return `the bed ${tree} could not be made (see above)`;
    }
  }
  return null;
}

/** Installs what beds need and makes their trees; returns the reason if that is not possible, else null. */
export async function prepareBeds(trees: readonly Tree[]): Promise<string | null> {
  return (await provideBedPrograms()) ?? makeTrees(trees);
}

/**
 * Copies the executable to a directory of its own, so that a build during the run does not change it; returns the
 * directory, which removeDirectory() removes.
 */
export function setAside(executable: string): string {
  if (!existsSync(executable)) throw new Error(`'${executable}' does not exist: run 'npm run build'`);
  const directory = makeDirectory("machined-host-");
  chmodSync(directory, 0o755); // for users in the bed
  copyFileSync(executable, join(directory, "machined"));
  return directory;
}
