// The metadata in an image: host name, machine id, machine-info(5), os-release(5). The image is not trusted: files are
// opened beneath its root, must be regular files, and are read up to a limit. Missing and invalid values are left
// empty.

import { meansNoFile } from "../../base/absence.ts";
import { type Id128, parseId } from "../../base/id128.ts";
import { isHostName } from "../../base/names.ts";
import { parseEnvFile } from "../../base/text/env-file.ts";
import type { Fd } from "../../kernel/file/fd.ts";
import { readFileIn } from "../../kernel/file/regular-file.ts";
import { isErrno } from "../../kernel/syscall/sys.ts";

export interface ImageMetadata {
  readonly hostname: string;
  readonly machineId: Id128 | null;
  readonly machineInfo: ReadonlyMap<string, string>;
  readonly osRelease: ReadonlyMap<string, string>;
}

const LIMIT_BYTES = 256 << 10;

/** Reads the metadata of the tree at `root`; `usr` is its /usr, where that is a file system of its own. */
export function readMetadata(root: Fd | null, usr: Fd | null = null): ImageMetadata {
  const file = (path: string) => (root === null ? null : textOf(root, path));
  const osRelease = file("/etc/os-release") ?? file("/usr/lib/os-release") ?? (usr && textOf(usr, "/lib/os-release"));
  return {
    hostname: hostName(file("/etc/hostname") ?? ""),
    machineId: parseId((file("/etc/machine-id") ?? "").replace(/\n$/, "")) ?? null,
    machineInfo: parseEnvFile(file("/etc/machine-info") ?? ""),
    osRelease: parseEnvFile(osRelease ?? ""),
  };
}

function textOf(root: Fd, path: string): string | null {
  try {
    return readFileIn(root, path, LIMIT_BYTES).toString();
  } catch (error) {
    // An image can have anything at the path, also a file that is too large.
    if (meansNoFile(error) || isErrno(error, "EFBIG", "EISDIR")) return null;
    throw error;
  }
}

/**
 * Returns the first line that is no comment, without the characters that a host name cannot have (hostname(5)). `?` and
 * `$` stay: systemd 258 and newer replace them by characters and words when the image is booted.
 */
function hostName(text: string): string {
  const lines = text.split("\n").map((line) => line.trim());
  const line = lines.find((candidate) => candidate !== "" && !candidate.startsWith("#")) ?? "";
  const name = line.replaceAll(/[^A-Za-z0-9.?$-]/g, "").replace(/\.$/, "");
  return isHostName(name.replaceAll(/[?$]/g, "x")) ? name : "";
}
