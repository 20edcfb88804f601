// The programs that tests start outside of beds, with the Debian packages that have them: test/run.ts installs what is
// missing before the first test. A test asks for a program here only, so that none can depend on one that is not listed.
import { appendFileSync } from "node:fs";

export const TEST_PROGRAMS = {
  bsdtar: "libarchive-tools",
  btrfs: "btrfs-progs",
  busctl: "systemd",
  bash: "bash",
  bzip2: "bzip2",
  chattr: "e2fsprogs",
  cmp: "diffutils",
  "dbus-daemon": "dbus",
  find: "findutils",
  fish: "fish",
  flock: "util-linux",
  gcc: "gcc libc6-dev",
  gpg: "gpg gpg-agent",
  gpgconf: "gpgconf",
  ip: "iproute2",
  lbzip2: "lbzip2",
  lz4: "lz4",
  mandoc: "mandoc",
  mount: "mount",
  "mkfs.btrfs": "btrfs-progs",
  "mkfs.ext4": "e2fsprogs",
  "nats-server": "nats-server",
  openssl: "openssl",
  perl: "perl",
  pgrep: "procps",
  python3: "python3-minimal",
  prlimit: "util-linux",
  "qemu-img": "qemu-utils",
  setpriv: "util-linux",
  tar: "tar",
  umoci: "umoci",
  unshare: "util-linux",
  xz: "xz-utils",
  zsh: "zsh",
  zstd: "zstd",
} as const;

export type TestProgram = keyof typeof TEST_PROGRAMS;

/** The file in which a test process notes what it leaves out, for the last lines of the run. */
const NOTES = process.env["TEST_LEFT_OUT"];

/** Says that something is not tested, and why: here, and in the last lines of the run. */
export function leaveOut(what: string, why: string): void {
  console.log(`left out: ${what}: ${why}`);
  if (NOTES !== undefined) appendFileSync(NOTES, `${what}: ${why}\n`);
}

/** Whether the programs are here that something needs; where one is not, that is left out and told. */
export function havePrograms(what: string, ...programs: readonly TestProgram[]): boolean {
  const missing = programs.filter((program) => Bun.which(program) === null);
  for (const program of missing) leaveOut(what, `there is no ${program} (Debian: ${TEST_PROGRAMS[program]})`);
  return missing.length === 0;
}

/** Programs that are used where they are, and installed by nobody: too large, or not in every Debian. */
type OptionalProgram = "go" | "varlinkctl";

/** Whether a program is here without which something is left out, which is told. */
export function haveOptional(what: string, program: OptionalProgram): boolean {
  if (Bun.which(program) !== null) return true;
  leaveOut(what, `there is no ${program}`);
  return false;
}
