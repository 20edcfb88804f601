// Gathers facts about the pool. A child process, which runs the hidden verb `doctor-pool`, accesses its file system,
// because that may be on a server that does not respond, which blocks system calls without a limit.

import { existsSync, lstatSync, readdirSync, readFileSync, statfsSync } from "node:fs";
import { join } from "node:path";
import { jsonWithoutControls } from "../../base/text/control-characters.ts";
import { OPERATION_TEMPORARY_PREFIX, TRANSFER_TEMPORARY } from "../../base/vocabulary/temporary.ts";
import { openPath } from "../../kernel/file/fd.ts";
import { mountLineOf } from "../../kernel/file/mount-line.ts";
import { reasonOf } from "../session/failure.ts";
import type { Session } from "../session/session.ts";
import type { PoolFacts } from "./host-facts.ts";
import { runOwnVerb } from "./learn.ts";

const POOL = "/var/lib/machines";
const BTRFS_MAGIC = 0x9123683e;
const HIDDEN_IMAGE = /^\.(?!#|\.?$)/;

/**
 * Returns the device of a path's file system as /proc/locks has it, `fd:01`; null where the kernel does not report it.
 * It is that of the mount, because stat(2) has another one for subvolumes of btrfs.
 */
function deviceOf(path: string): string | null {
  using place = openPath(path, "path");
  const [, major, minor] = /^\d+ \d+ (\d+):(\d+) /.exec(mountLineOf(place) ?? "") ?? [];
  if (major === undefined || minor === undefined) return null;
  return [major, minor].map((number) => Number(number).toString(16).padStart(2, "0")).join(":");
}

/**
 * Returns the inode numbers of the files of a device, or of all where it is null, that are locked by flock(2), from the
 * text of /proc/locks. Workers hold such a lock on the temporary files that they use. Other locks do not count: files
 * in two subvolumes of btrfs have the same device there and may have the same number, and the kernel shows the locks of
 * open file descriptions (OFDLCK) of all containers, but those of flock(2) only of processes that we see. Exported for
 * its test.
 */
export function lockedInodes(locks: string, device: string | null): Set<string> {
  return new Set(
    locks.split("\n").flatMap((line) => {
      const [, where, inode] = / FLOCK .* ([0-9a-f]+:[0-9a-f]+):(\d+) \d+ \S+$/.exec(line) ?? [];
      return inode !== undefined && (device === null || where === device) ? [inode] : [];
    }),
  );
}

function lookAtPool(path: string): PoolFacts {
  if (!existsSync(path)) {
    const nothing = { hasHidden: false, ofTransfers: [], ofOperations: [] };
    return { path, exists: false, isBtrfs: false, totalBytes: 0, availableBytes: 0, ...nothing };
  }
  const { type, bsize, blocks, bavail } = statfsSync(path);
  const names = readdirSync(path);
  const isOfTransfer = (name: string) => TRANSFER_TEMPORARY.test(name);
  const isOfOperation = (name: string) => name.startsWith(OPERATION_TEMPORARY_PREFIX);
  // Read after the names: by now, a worker that uses one of these files has locked or renamed it.
  const locked = lockedInodes(readFileSync("/proc/locks", "utf8"), deviceOf(path));
  const isLeft = (name: string) => {
    const status = lstatSync(join(path, name), { throwIfNoEntry: false });
    return status !== undefined && !locked.has(String(status.ino));
  };
  const left = names.filter((name) => (isOfTransfer(name) || isOfOperation(name)) && isLeft(name));
  return {
    path,
    exists: true,
    isBtrfs: type === BTRFS_MAGIC,
    totalBytes: blocks * bsize,
    availableBytes: bavail * bsize,
    hasHidden: names.some((name) => HIDDEN_IMAGE.test(name)),
    ofTransfers: left.filter(isOfTransfer),
    ofOperations: left.filter(isOfOperation),
  };
}

/** The verb `doctor-pool`, which the child runs: prints PoolFacts as JSON, or the reason why they are not known. */
export async function doctorPool(session: Session, [path = POOL]: readonly string[]): Promise<number> {
  try {
    session.output.write(`${jsonWithoutControls(JSON.stringify(lookAtPool(path)))}\n`);
    return 0;
  } catch (error) {
    session.output.write(session.ports.euid === 0 ? reasonOf(error) : `only root can read ${path}`);
    return 1;
  }
}

/** Gathers the facts about the pool by a child process. */
export async function gatherPool(): Promise<PoolFacts> {
  const { code, output } = await runOwnVerb(["doctor-pool", POOL]);
  if (code !== 0) throw new Error(output);
  return JSON.parse(output) as PoolFacts; // doctorPool() wrote it
}
