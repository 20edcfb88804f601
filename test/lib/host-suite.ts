// What the host suite needs before it can start: packages, cached trees, the executable. Says why where it cannot run.
import { chmodSync, copyFileSync, existsSync, mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { TEST_PROGRAMS } from "./programs.ts";
import { runCommand, TOP } from "./run-tests.ts";

export const BED = join(TOP, "test/host/bed");

/** Tree → systemd release in it. */
export const TREES = { bookworm: 252, trixie: 257, forky: 262 } as const;
export type Tree = keyof typeof TREES;
export const DEFAULT_TREES: readonly Tree[] = ["bookworm", "forky"];

/** Programs that make and boot beds, and the Debian packages that have them. */
const BED_PROGRAMS = {
  debootstrap: "debootstrap",
  "systemd-nspawn": "systemd-container",
  "mkfs.btrfs": "btrfs-progs",
  nsenter: "util-linux",
  pgrep: "procps",
} as const;

export const isRoot = process.geteuid?.() === 0;

/** Installs what is missing, where that can be done; returns the programs that are still missing. */
async function provide(programs: Readonly<Record<string, string>>): Promise<string[]> {
  const missing = () => Object.keys(programs).filter((program) => Bun.which(program) === null);
  const wanted = missing();
  if (wanted.length === 0 || !isRoot || Bun.which("apt-get") === null) return wanted;
  const packages = [...new Set(wanted.flatMap((program) => (programs[program] ?? "").split(" ")))];
  console.log(`== installing ${packages.join(" ")}`);
  const env = { DEBIAN_FRONTEND: "noninteractive" };
  const install = ["apt-get", "install", "-qq", "-y", "--no-install-recommends", ...packages];
  if ((await runCommand(install, { env })) !== 0) {
    await runCommand(["apt-get", "update", "-qq"], { env });
    await runCommand(install, { env });
  }
  return missing();
}

/** Installs what the tests outside of beds start. What stays missing is left out, and the last lines say so. */
export async function provideTestPrograms(): Promise<void> {
  await provide(TEST_PROGRAMS);
}

/** What the tests of a release start, beside what makes it. */
const RELEASE_TEST_PROGRAMS = {
  lintian: "lintian",
  rpm: "rpm",
  sha256sum: "coreutils",
  unshare: "util-linux",
} as const;

/** Installs what the tests of a release start; what stays missing fails there. */
export async function provideReleaseTestPrograms(): Promise<void> {
  await provide(RELEASE_TEST_PROGRAMS);
}

/** Makes the beds ready; returns the reason where there can be none. */
export async function prepareBeds(trees: readonly Tree[]): Promise<string | null> {
  if (!isRoot) return "booting a bed needs root";
  const missing = await provide(BED_PROGRAMS);
  if (missing.length > 0) return `${missing.join(", ")} not found, and there is no apt-get that could install it`;
  for (const tree of trees) {
    if ((await runCommand([BED, "create", tree], { timeoutMs: 15 * 60_000 })) !== 0) {
      return `the bed ${tree} could not be made (see above)`;
    }
  }
  return null;
}

/** A copy of the executable in a folder of its own: a build during the run must not change what is tested. */
export function setAside(executable: string): string {
  if (!existsSync(executable)) throw new Error(`There is no '${executable}': npm run build`);
  const directory = mkdtempSync(join(tmpdir(), "machined-host-"));
  chmodSync(directory, 0o755); // users in the bed start it, too
  copyFileSync(executable, join(directory, "machined"));
  return directory;
}
