// The pool, looked at by a child: its file system may be of a dead server, and whoever asks it then sleeps in the kernel. The
// hidden verb `doctor-pool` is that child.
import { existsSync, lstatSync, readdirSync, readFileSync, statfsSync } from "node:fs";
import { join } from "node:path";
import { OPERATION_TEMPORARY_PREFIX, TRANSFER_TEMPORARY } from "../../base/vocabulary/temporary.ts";
import { reasonOf } from "../session/failure.ts";
import type { Session } from "../session/session.ts";
import type { PoolFacts } from "./host-facts.ts";
import { runOwnVerb } from "./learn.ts";

const POOL = "/var/lib/machines";
const BTRFS_MAGIC = 0x9123683e;
const HIDDEN_IMAGE = /^\.(?!#|\.?$)/;

/** Numbers of the files that somebody has locked: who works on a temporary holds it. */
function lockedFiles(): Set<string> {
  const lines = readFileSync("/proc/locks", "utf8").split("\n");
  return new Set(lines.flatMap((line) => /:(\d+) \d+ \S+$/.exec(line)?.[1] ?? []));
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
  // After the names: whoever works on one of these has locked it by now, or has renamed it.
  const locked = lockedFiles();
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

/** The verb `doctor-pool`, in the child. */
export async function doctorPool(session: Session, [path = POOL]: readonly string[]): Promise<number> {
  try {
    session.output.write(`${JSON.stringify(lookAtPool(path))}\n`);
    return 0;
  } catch (error) {
    session.output.write(session.ports.euid === 0 ? reasonOf(error) : `only root may look into ${path}`);
    return 1;
  }
}

/** Has a child look at the pool. */
export async function gatherPool(): Promise<PoolFacts> {
  const { code, output } = await runOwnVerb(["doctor-pool", POOL]);
  if (code !== 0) throw new Error(output);
  return JSON.parse(output) as PoolFacts; // doctorPool() wrote it
}
