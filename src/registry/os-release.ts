// os-release(5) of a machine. The file is written by the machine, which is not trusted: it is opened beneath the
// machine's root and as the machine's own root user, must be a regular file, and is read up to a limit.
import { parseEnvFile } from "../base/env-file.ts";
import { errnoText } from "../base/errno.ts";
import { ErrnoError, errnoNameOf, MachinedError } from "../base/error.ts";
import { type Fd, openInRoot, openPath, readRegular, reopen, statFd } from "../kernel/fd.ts";
import { withIdentity } from "../kernel/namespace.ts";
import type { Machine } from "./machine.ts";
import { idMapsOf, mapOutward } from "./uid-map.ts";

const PATHS = ["/etc/os-release", "/usr/lib/os-release"];
const LIMIT_BYTES = 256 << 10;
const CACHE_SIZE = 64;

/**
 * The fields in file order. Throws NotSupported for a VM, NoOSReleaseInformation where there is no file, and an error
 * with errno ("Failed to get OS release: …") for one that cannot be used.
 */
export function osRelease(machine: Machine): ReadonlyMap<string, string> {
  if (machine.class === "vm") {
    throw new MachinedError("NotSupported", "Requesting OS release data is only supported on container machines.");
  }
  using root = openRoot(machine);
  for (const path of PATHS) {
    try {
      return asItsRoot(machine, () => readCached(root, path));
    } catch (error) {
      if (errnoNameOf(error) === "ENOENT") continue;
      throw unusable(error);
    }
  }
  throw new MachinedError("FileNotFound", "Failed to get OS release: No such file or directory");
}

/** The machine's root directory. Throws an error with errno when the leader is gone. */
export function openRoot(machine: Machine): Fd {
  return openPath(machine.isHost ? "/" : `/proc/${machine.leader.pid}/root`, "directory");
}

/** Runs `read` as whoever is root in the machine, so that it cannot be shown what its own root may not see. */
export function asItsRoot<Result>(machine: Machine, read: Parameters<typeof withIdentity<Result>>[1]): Result {
  if (machine.isHost) return read() as Result;
  const maps = idMapsOf(machine.leader);
  const uid = mapOutward(maps.uid, 0) ?? machine.facts.uid;
  const gid = mapOutward(maps.gid, 0) ?? uid;
  return uid === 0 && gid === 0 ? (read() as Result) : withIdentity({ uid, gid }, read);
}

interface Cached {
  readonly stamp: string;
  readonly fields: ReadonlyMap<string, string>;
}

/** By inode: hundreds of containers of one image share a file, and a changed file has another stamp. */
const cache = new Map<string, Cached>();

function readCached(root: Fd, path: string): ReadonlyMap<string, string> {
  using file = openInRoot(root, path, "path");
  const status = statFd(file);
  if (status.kind !== "regular") throw new ErrnoError("EBADF", "Not a regular file");
  const key = `${status.dev}:${status.ino}`;
  const stamp = `${status.size} ${status.mtimeNs} ${status.ctimeNs}`;
  const known = cache.get(key);
  if (known?.stamp === stamp) return known.fields;
  using readable = reopen(file, "read");
  const fields = parseEnvFile(readRegular(readable, LIMIT_BYTES).toString());
  if (cache.size >= CACHE_SIZE) cache.clear();
  cache.set(key, { stamp, fields });
  return fields;
}

function unusable(error: unknown): Error {
  const errno = errnoNameOf(error);
  if (errno === null) return error as Error;
  const reason = errno === "EBADF" ? "Not a regular file" : errnoText(errno);
  return new ErrnoError(errno, `Failed to get OS release: ${reason}`, { cause: error });
}
