// The programs that tests start outside of beds, with their Debian packages. test/run.ts installs missing ones before
// the first test. Tests check for programs by havePrograms() only, whose type makes sure that all programs are in this
// list.
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
  dpkg: "dpkg",
  "dpkg-deb": "dpkg",
  "dpkg-divert": "dpkg",
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
  python3: "python3",
  prlimit: "util-linux",
  "qemu-img": "qemu-utils",
  setpriv: "util-linux",
  strace: "strace",
  tar: "tar",
  umoci: "umoci",
  unshare: "util-linux",
  xz: "xz-utils",
  zsh: "zsh",
  zstd: "zstd",
} as const;

export type TestProgram = keyof typeof TEST_PROGRAMS;

/** The file in which a test process records what it leaves out; test/run.ts prints it at the end. */
const NOTES = process.env["TEST_LEFT_OUT"];

/** Prints that something is not tested, with the reason, and records it for the end of the run. */
export function leaveOut(what: string, why: string): void {
  console.log(`left out: ${what}: ${why}`);
  if (NOTES !== undefined) appendFileSync(NOTES, `${what}: ${why}\n`);
}

/** Whether all programs are installed. If not, prints and records that `what` is left out. */
export function havePrograms(what: string, ...programs: readonly TestProgram[]): boolean {
  const missing = programs.filter((program) => Bun.which(program) === null);
  for (const program of missing) leaveOut(what, `there is no ${program} (Debian: ${TEST_PROGRAMS[program]})`);
  return missing.length === 0;
}

/**
 * Programs that are used if they are installed, but are not installed for the tests: too large, or not in every Debian.
 */
type OptionalProgram = "go" | "varlinkctl";

/** Whether an optional program is installed. If not, prints and records that `what` is left out. */
export function haveOptional(what: string, program: OptionalProgram): boolean {
  if (Bun.which(program) !== null) return true;
  leaveOut(what, `there is no ${program}`);
  return false;
}
