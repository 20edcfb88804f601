// The programs that are needed to make a release, and the Debian packages that contain them.
import { ReleaseError } from "./release-error.ts";
import { TARGETS } from "./targets.ts";

const PROGRAMS: Readonly<Record<string, string>> = {
  ...Object.fromEntries(TARGETS.map(({ gnu }) => [compilerOf(gnu), compilerPackages(gnu)])),
  "dpkg-deb": "dpkg",
  git: "git",
  gzip: "gzip",
  npm: "npm",
  rpmbuild: "rpm",
  tar: "tar",
};

/** Returns the name of the C compiler for a processor, which in Debian is the same for native and cross compilers. */
export function compilerOf(gnu: string): string {
  return `${gnu}-linux-gnu-gcc`;
}

function compilerPackages(gnu: string): string {
  const debian = gnu === "aarch64" ? "arm64" : "amd64";
  const here = process.arch === "arm64" ? "arm64" : "amd64";
  return debian === here ? "gcc libc6-dev" : `gcc-${gnu.replace("_", "-")}-linux-gnu libc6-dev-${debian}-cross`;
}

/**
 * Installs missing programs, if the caller is root and apt-get exists; throws a ReleaseError if some are still missing.
 */
export function provideReleasePrograms(): void {
  const missing = () => Object.keys(PROGRAMS).filter((program) => Bun.which(program) === null);
  const wanted = missing();
  if (wanted.length === 0) return;
  const packages = [...new Set(wanted.flatMap((program) => (PROGRAMS[program] ?? "").split(" ")))];
  if (process.geteuid?.() === 0 && Bun.which("apt-get") !== null) {
    console.log(`installing ${packages.join(" ")}`);
    if (!install(packages)) {
      Bun.spawnSync(["apt-get", "update", "-qq"], { stdio: ["ignore", "inherit", "inherit"] });
      install(packages);
    }
  }
  const left = missing();
  if (left.length === 0) return;
  throw new ReleaseError(`A release needs ${left.join(", ")} (Debian packages: ${packages.join(" ")})`);
}

function install(packages: readonly string[]): boolean {
  const child = Bun.spawnSync(["apt-get", "install", "-qq", "-y", "--no-install-recommends", ...packages], {
    env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" },
    stdio: ["ignore", "inherit", "inherit"],
  });
  return child.exitCode === 0;
}

/** Returns the name of objdump(1) for a processor. */
export function objdumpOf(gnu: string): string {
  return `${gnu}-linux-gnu-objdump`;
}
