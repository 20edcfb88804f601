// os-release(5) of a machine. The file is written by the machine, which is not trusted: it is opened beneath the
// machine's root and as the machine's own root user, must be a regular file, and is read up to a limit.

import { errnoText } from "../../base/errno.ts";
import { ErrnoError, errnoNameOf, MachinedError } from "../../base/error.ts";
import { parseEnvFile } from "../../base/text/env-file.ts";
import { type Fd, statFd } from "../../kernel/file/fd.ts";
import { type Identity, withIdentity } from "../../kernel/process/namespace.ts";
import type { Machine } from "../../registry/machine/machine.ts";
import { DAEMON_TABLE_LIMIT_BYTES, openPathCached } from "../../registry/machine/open-cached.ts";
import { readBehind } from "../../registry/open-file-kind.ts";
import type { Daemon } from "../action/daemon.ts";
import { nameRoot, readByWorker } from "./open-in-machine.ts";
import { rootIdentity } from "./root-identity.ts";

const PATHS = ["/etc/os-release", "/usr/lib/os-release"];
const LIMIT_BYTES = 256 << 10;
const CACHE_SIZE = 64;

/**
 * Returns the fields in file order, without a promise where the kernel alone can look up the file. Throws, or rejects
 * with, NotSupported for a VM, FileNotFound where there is no file, and an error with errno ("Failed to get OS release:
 * …") for a file that cannot be used. `openRoot` opens the machine's root directory, which is closed here.
 */
export function osRelease(
  daemon: Daemon,
  machine: Machine,
  openRoot = () => nameRoot(machine),
): ReadonlyMap<string, string> | Promise<ReadonlyMap<string, string>> {
  if (machine.class === "vm") {
    throw new MachinedError("NotSupported", "Requesting OS release data is only supported on container machines.");
  }
  try {
    // As the machine's root, so that no file is read that the machine's root may not read.
    const identity = rootIdentity(machine) ?? { uid: machine.facts.uid, gid: machine.facts.uid };
    using root = unlessMissing(openRoot);
    if (root === undefined) throw missing();
    for (const [index, path] of PATHS.entries()) {
      const known = unlessMissing(() => readAtOnce(machine, root, path, identity));
      if (known === null) return askWorker(daemon, machine, PATHS.slice(index), identity);
      if (known !== undefined) return known;
    }
  } catch (error) {
    throw unusable(error);
  }
  throw missing();
}

async function askWorker(
  { operations }: Daemon,
  machine: Machine,
  paths: readonly string[],
  identity: Identity,
): Promise<ReadonlyMap<string, string>> {
  for (const path of paths) {
    try {
      const text = await readByWorker(operations, machine, { path, limitBytes: LIMIT_BYTES, identity });
      return parseEnvFile(text.toString());
    } catch (error) {
      if (errnoNameOf(error) !== "ENOENT") throw unusable(error);
    }
  }
  throw missing();
}

function missing(): MachinedError {
  return new MachinedError("FileNotFound", "Failed to get OS release: No such file or directory");
}

/** Returns undefined where there is no such file. */
function unlessMissing<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (errnoNameOf(error) === "ENOENT") return undefined;
    throw error;
  }
}

/** Returns null where a process would have to answer for the file. */
function readAtOnce(machine: Machine, root: Fd, path: string, identity: Identity): ReadonlyMap<string, string> | null {
  return withIdentity(identity, () => {
    using file = openPathCached(machine, root, path, DAEMON_TABLE_LIMIT_BYTES);
    return file === null ? null : readCached(file);
  });
}

interface Cached {
  readonly stamp: string;
  readonly fields: ReadonlyMap<string, string>;
}

/** The fields by inode: hundreds of containers of one image share a file, and a changed file has another time. */
const cache = new Map<string, Cached>();

function readCached(file: Fd): ReadonlyMap<string, string> {
  const status = statFd(file);
  const key = `${status.dev}:${status.ino}`;
  const stamp = `${status.size} ${status.mtimeNs} ${status.ctimeNs}`;
  const known = cache.get(key);
  if (known?.stamp === stamp) return known.fields;
  const fields = parseEnvFile(readBehind(file, LIMIT_BYTES).toString());
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
