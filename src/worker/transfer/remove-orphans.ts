// What workers left that had no time to clean up, and downloads that nobody went on with.
import { rmSync } from "node:fs";
import { TRANSFER_TEMPORARY } from "../../base/vocabulary/temporary.ts";
import { listDirectory } from "../../kernel/file/directory-entry.ts";
import { type Fd, openPath, statAt } from "../../kernel/file/fd.ts";
import { lockWhole } from "../../kernel/file/lock.ts";
import { SyscallError } from "../../kernel/syscall/sys.ts";
import { removeTree } from "../../kernel/tree/remove.ts";
import { openForReading } from "../../kernel/tree/tree.ts";

/** A download on its way, and what is noted beside it. */
const PARTIAL = /^\.#pull-([0-9a-f]{16})\.(part|state|state\.new)$/;
const PARTIAL_DAYS = 7;
const DAY_MS = 86_400_000;

/** Removes what workers left that died. Names that other programs use for what they still need are not touched. */
export function sweepOrphans(root: Fd): string[] {
  using listing = openPath(`/proc/self/fd/${root.number}`, "directory");
  const names = listDirectory(listing).map(({ name }) => name);
  const downloads = new Set(names.flatMap((name) => PARTIAL.exec(name)?.[1] ?? []));
  return [
    ...names.filter((name) => TRANSFER_TEMPORARY.test(name) && sweep(root, name)),
    ...[...downloads].filter((id) => sweepDownload(root, id, names)).map((id) => `.#pull-${id}.part`),
  ];
}

/** Removes a download that nobody went on with for long, or of which there are only notes. */
function sweepDownload(root: Fd, id: string, names: readonly string[]): boolean {
  const path = `.#pull-${id}`;
  const since = Date.now() - PARTIAL_DAYS * DAY_MS;
  // A complete one has the time that the server said already.
  const isYoung = ["part", "state"].some((suffix) => changedMs(root, `${path}.${suffix}`) > since);
  if (names.includes(`${path}.part`) && (isYoung || !sweep(root, `${path}.part`))) return false;
  for (const suffix of ["state", "state.new"]) {
    rmSync(`/proc/self/fd/${root.number}/${path}.${suffix}`, { force: true });
  }
  return true;
}

function changedMs(root: Fd, name: string): number {
  try {
    return Number(statAt(root, name, "no-follow").mtimeNs / 1_000_000n);
  } catch (error) {
    if (error instanceof SyscallError) return 0;
    throw error;
  }
}

/** Removes what nobody works on. */
function sweep(root: Fd, name: string): boolean {
  try {
    const { kind } = statAt(root, name, "no-follow");
    if (kind !== "regular" && kind !== "directory") return false;
    using file = openForReading(root, name);
    if (!lockWhole(file)) return false;
    removeTree(root, name);
    return true;
  } catch (error) {
    if (error instanceof SyscallError) return false;
    throw error;
  }
}
