// Gathers facts from small files of the host and the kernel in /etc, /usr, /proc and /run. The pool is gathered in
// pool.ts, because its file system may not respond.

import { existsSync, readdirSync, readFileSync, realpathSync, type Stats, statSync } from "node:fs";
import { release } from "node:os";
import { basename, join } from "node:path";
import { IMPORT1_ACTIONS, MACHINE1_ACTIONS } from "../../api/polkit-actions.ts";
import { unlessNoFile } from "../../base/absence.ts";
import { namesService } from "../../base/text/nsswitch.ts";
import { shellQuoted as quoted } from "../../base/text/shell-quoted.ts";
import {
  installedProgram,
  LIBRARY_DIRECTORIES,
  NSS_LIBRARY,
  NSS_WORD,
  NSSWITCH,
} from "../../base/vocabulary/installation.ts";
import { cgroupRoot } from "../../kernel/cgroup/mount.ts";
import { openInRoot, openPath } from "../../kernel/file/fd.ts";
import { PidRef } from "../../kernel/process/pidref.ts";
import { programPath } from "../../kernel/process/program-path.ts";
import { unlessSyscallError } from "../../kernel/syscall/sys.ts";
import type { Session } from "../session/session.ts";
import { managerDirectory } from "../session/target.ts";
import type {
  CallerFacts,
  CgroupFacts,
  ClockFacts,
  FileFacts,
  KernelFacts,
  NamespaceFacts,
  NssFacts,
  PathFacts,
  PolkitFacts,
} from "./host-facts.ts";
import { runProgram } from "./learn.ts";

function read(path: string): string {
  return readFileSync(path, "utf8");
}

/** Resolves symbolic links; null if the path does not exist. */
function realPath(path: string): string | null {
  return unlessNoFile(() => realpathSync(path), null);
}

/** Returns who calls, and the command that runs this executable, for the remedies. */
export function gatherCaller(session: Session): CallerFacts {
  const installed = installedProgram(session.ports.isThere);
  const own = realpathSync(process.execPath);
  const found = programPath("machined");
  const isInPath = found !== null && realPath(found) === (installed ?? own);
  return {
    isRoot: session.ports.euid === 0,
    machined: isInPath ? "machined" : quoted(installed ?? own),
    isInstalled: installed !== null,
  };
}

const CLIENT = /(^|[\s;&|(])(machinectl|importctl)\s/;

/** Returns the lines of a crontab that call a client by name and are not preceded by an assignment of PATH. */
export function cronLinesWithoutPath(crontab: string): string[] {
  const lines = crontab.split("\n").map((line) => line.trim());
  const path = lines.findIndex((line) => /^PATH\s*=/.test(line));
  return lines.slice(0, path < 0 ? lines.length : path).filter((line) => !line.startsWith("#") && CLIENT.test(line));
}

function isOurs(path: string): boolean {
  return basename(realPath(path) ?? "") === "machined";
}

/** Returns every `machinectl` in $PATH, and the caller's crontab lines that call a client without a PATH. */
export async function gatherPath(session: Session): Promise<PathFacts> {
  const directories = [...new Set((session.ports.env["PATH"] ?? "").split(":"))].filter((path) => path !== "");
  const found = directories.map((directory) => join(directory, "machinectl")).filter((path) => existsSync(path));
  const crontab = programPath("crontab") === null ? null : await runProgram(["crontab", "-l"]);
  return {
    found: found.map((path) => ({ path, isOurs: isOurs(path) })),
    isLinked: isOurs("/usr/local/bin/machinectl"),
    cronLines: crontab === null || crontab.code !== 0 ? [] : cronLinesWithoutPath(crontab.output),
  };
}

const CONTROLLERS = ["cpu", "memory", "io", "pids"];
/** The names of controllers in version 1, where they differ. */
const OLD_NAMES: Readonly<Record<string, string>> = { io: "blkio" };

/** Returns the version of the control groups, and the controllers for limits and statistics that are missing. */
export function gatherCgroup(): CgroupFacts {
  const { mount, unified } = cgroupRoot();
  const names = unified
    ? read(join(mount, "cgroup.controllers")).trim().split(" ")
    : read("/proc/self/cgroup")
        .split("\n")
        .flatMap((line) => (line.split(":")[1] ?? "").split(","));
  const isThere = (name: string) => names.includes(unified ? name : (OLD_NAMES[name] ?? name));
  return { version: unified ? 2 : 1, missing: CONTROLLERS.filter((name) => !isThere(name)) };
}

/** Whether a kernel release such as `6.1.0-13-amd64` is at least `major.minor`. */
export function isAtLeast(version: string, [major, minor]: readonly [number, number]): boolean {
  const [ownMajor = 0, ownMinor = 0] = version.split(/[.-]/).map(Number);
  return ownMajor > major || (ownMajor === major && ownMinor >= minor);
}

const IDMAPPED_MOUNTS_SINCE = [5, 12] as const;

/** Returns what the kernel lacks: `missing` is required, without `lesser` single operations fail. */
export function gatherKernel(): KernelFacts {
  const hasPidfds = (() => {
    using self = PidRef.of(process.pid);
    return self.pidfd !== null;
  })();
  const hasOpenat2 = unlessSyscallError(() => {
    using root = openPath("/", "path");
    openInRoot(root, "/proc", "path").close();
    return true;
  }, false);
  const missing = [...(hasPidfds ? [] : ["pidfds (Linux 5.3)"]), ...(hasOpenat2 ? [] : ["openat2 (Linux 5.6)"])];
  const lesser = [
    ...(isAtLeast(release(), IDMAPPED_MOUNTS_SINCE) ? [] : ["idmapped mounts (Linux 5.12)"]),
    ...(read("/proc/filesystems").includes("\tbtrfs\n") ? [] : ["btrfs"]),
  ];
  return { release: release(), missing, lesser };
}

const DATABASES = ["hosts", "passwd", "group"];

/** Returns those of DATABASES whose line in the text of nsswitch.conf does not name the module. */
export function databasesWithout(nsswitch: string, module: string): string[] {
  return DATABASES.filter((database) => !namesService(nsswitch, database, module));
}

/** Returns the databases of nsswitch.conf(5) without our NSS module, and the path of the module. */
export function gatherNss(): NssFacts {
  const module = LIBRARY_DIRECTORIES.map((directory) => join(directory, NSS_LIBRARY)).find((path) => existsSync(path));
  return { without: databasesWithout(read(NSSWITCH), NSS_WORD), module: module ?? null };
}

/** The modes that the runtime directory and its sockets for all users must have. */
const OPEN_FILES: Readonly<Record<string, number>> = {
  ".": 0o755,
  "io.systemd.Machine": 0o666,
  "io.machined.Exec": 0o666,
  names: 0o666,
};

/** Returns null if the path does not exist or its directory may not be searched, which is a finding of its own. */
function statusOf(path: string): Stats | null {
  return unlessNoFile(() => statSync(path), null);
}

/** Returns the owner and mode of those of OPEN_FILES that exist. */
export function gatherSockets(session: Session): FileFacts[] {
  const directory = managerDirectory("system", session.ports.env) ?? "";
  return Object.entries(OPEN_FILES).flatMap(([name, wanted]) => {
    const path = join(directory, name);
    const status = statusOf(path);
    return status === null ? [] : [{ path, uid: status.uid, mode: status.mode & 0o7777, wanted }];
  });
}

const POLICY_DIRECTORIES = ["/etc", "/run", "/usr/local/share", "/usr/share"].map((top) =>
  join(top, "polkit-1/actions"),
);

/** Returns the polkit actions of both daemons that no .policy file of the host declares. */
export function gatherPolkit(): PolkitFacts {
  const declared = new Set<string>();
  for (const directory of POLICY_DIRECTORIES.filter((path) => existsSync(path))) {
    for (const name of readdirSync(directory)) {
      if (!/machine|import/.test(name) || !name.endsWith(".policy")) continue;
      for (const [, id = ""] of read(join(directory, name)).matchAll(/<action id="([^"]+)"/g)) declared.add(id);
    }
  }
  const wanted = Object.keys({ ...MACHINE1_ACTIONS, ...IMPORT1_ACTIONS });
  return { missing: wanted.filter((id) => !declared.has(id)) };
}

/** Returns the limit of user namespaces, and the kernel's default for it. */
export function gatherNamespaces(): NamespaceFacts {
  const most = Number(read("/proc/sys/user/max_user_namespaces"));
  // The kernel's default (fork_init(), user_namespaces_init()): half of the largest number of threads.
  return { most, usual: Math.floor(Number(read("/proc/sys/kernel/threads-max")) / 2) };
}

/** Returns the time now and that of the executable's last change, before which the clock must not be. */
export function gatherClock(): ClockFacts {
  return { nowMs: Date.now(), builtMs: statSync(process.execPath).mtimeMs };
}

const DENIED = 'apparmor="DENIED"|avc: +denied';
const OURS = /machined|importd|machinectl|importctl/;

/**
 * Returns kernel messages since the last boot in which AppArmor or SELinux denied something to programs of machined.
 */
export async function gatherDenials(session: Session): Promise<string[]> {
  if (session.ports.euid !== 0) throw new Error("only root can read the messages of the kernel");
  if (programPath("journalctl") === null) throw new Error("journalctl(1) is not installed");
  const query = [
    "-b",
    "-q",
    "--no-pager",
    "-o",
    "cat",
    "-n",
    "1000",
    "--grep",
    DENIED,
    "_TRANSPORT=kernel",
    "+",
    "_TRANSPORT=audit",
  ];
  const { output } = await runProgram(["journalctl", ...query]);
  return output.split("\n").filter((line) => OURS.test(line));
}
