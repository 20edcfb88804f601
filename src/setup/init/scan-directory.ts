// Finds the scan directory of s6, in which services have to be so that they start with each boot.
import { readFileSync, readlinkSync, statfsSync, statSync } from "node:fs";
import { posix } from "node:path";
import { INSTALLED_PROGRAM } from "../../base/vocabulary/installation.ts";
import type { Host } from "../host.ts";

/** The scan directory, or why it cannot be used and what to do instead. */
type ScanDirectory = { readonly path: string } | { readonly problem: string };

/** Signs of s6-rc: its live state, and the compiled databases that are read at boot. */
const S6_RC = ["/run/s6-rc", "/etc/s6/rc/compiled", "/etc/s6-rc/compiled"];

/** Directories that are in memory, or are emptied at boot, on every host. */
const IN_MEMORY = /^\/(?:run|var\/run|tmp|dev|proc|sys)(?:\/|$)/;
/** The types of file systems in memory in statfs(2): tmpfs and ramfs. */
const MEMORY_TYPES = [0x01021994, 0x858458f6];

/**
 * Returns the scan directory of s6 on a host or in a tree of files; `installed` is the directory of the daemons, which
 * the text of a problem names.
 */
export function findScanDirectory(host: Host, installed = posix.dirname(INSTALLED_PROGRAM)): ScanDirectory {
  const programs = `'${installed}/systemd-machined' and '${installed}/systemd-importd'`;
  const named = host.isLive ? runningScanDirectory() : scanDirectoryIn(host.initScript);
  if (named === null) {
    const where = host.isLive ? "process 1" : `'/sbin/init' of '${host.root}'`;
    return { problem: `${where} does not say what its scan directory is. Make services that execute ${programs}` };
  }
  const path = host.follow(named);
  if (!host.has(path)) return { problem: `the scan directory '${path}' does not exist: make it, and run this again` };
  if (!isInMemory(host, path)) return { path };
  const lost = `the scan directory '${path}' is in memory and is filled anew at each boot`;
  if (host.hasAny(S6_RC)) {
    return { problem: `${lost}. Add longruns that execute ${programs} to a bundle that s6-rc starts at boot` };
  }
  return { problem: `${lost}. Add services that execute ${programs} to what fills it` };
}

/**
 * Returns the scan directory of process 1: its working directory, or if that cannot be read, the one on its command
 * line; null if neither is known.
 */
function runningScanDirectory(): string | null {
  try {
    return readlinkSync("/proc/1/cwd");
  } catch {
    // Only root may read it; --dry-run works for others too.
    return scanDirectoryIn(commandLine());
  }
}

function commandLine(): string {
  try {
    return readFileSync("/proc/1/cmdline", "latin1").replaceAll("\0", " ");
  } catch {
    return "";
  }
}

/**
 * Returns the scan directory that a command line, or a line of a script, gives to s6-svscan(8): the first absolute path
 * among its arguments. Null if there is none.
 */
export function scanDirectoryIn(text: string): string | null {
  const path = /^[^#\n]*\bs6-svscan(?:[ \t]+(?!["']?\/)[^\s;&|<>]+)*[ \t]+["']?(\/[^\s"';&|<>]*)/m.exec(text)?.[1];
  return path === undefined ? null : posix.join(path, ".");
}

/** Whether the contents of a directory are gone after a shut-down, while those of the root directory are not. */
function isInMemory(host: Host, path: string): boolean {
  if (IN_MEMORY.test(path)) return true;
  if (!host.isLive) return false;
  return MEMORY_TYPES.includes(statfsSync(path).type) && statSync(path).dev !== statSync("/").dev;
}
