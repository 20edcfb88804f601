// Removes the remains of workers that could not clean up, and downloads that were not resumed.
import { rmSync } from "node:fs";
import { TRANSFER_TEMPORARY } from "../../base/vocabulary/temporary.ts";
import { pathOf } from "../../kernel/file/attributes.ts";
import { listDirectory } from "../../kernel/file/directory-entry.ts";
import { type Fd, openPath, statAt } from "../../kernel/file/fd.ts";
import { lockWhole } from "../../kernel/file/lock.ts";
import { unlessSyscallError } from "../../kernel/syscall/sys.ts";
import { removeTree } from "../../kernel/tree/remove.ts";
import { openForReading } from "../../kernel/tree/tree.ts";
import { finishChanges } from "../../registry/image/sweep.ts";
import { layoutAt } from "../image/install-with-sides.ts";

/** An unfinished download, and its state file. */
const PARTIAL = /^\.#pull-([0-9a-f]{16})\.(part|state|state\.new)$/;
const PARTIAL_DAYS = 7;
const DAY_MS = 86_400_000;

/**
 * Removes the remains of workers that ended early, also the small files of images that did not get their names. Names
 * that other programs still use are not touched.
 */
export function sweepOrphans(root: Fd, locks: string | null): string[] {
  const path = pathOf(root);
  const waiting = finishChanges(layoutAt(path, locks), path);
  using listing = openPath(`/proc/self/fd/${root.number}`, "directory");
  const names = listDirectory(listing).map(({ name }) => name);
  const downloads = new Set(names.flatMap((name) => PARTIAL.exec(name)?.[1] ?? []));
  return [
    ...names.filter((name) => TRANSFER_TEMPORARY.test(name) && !waiting.has(name) && sweep(root, name)),
    ...[...downloads].filter((id) => sweepDownload(root, id, names)).map((id) => `.#pull-${id}.part`),
  ];
}

/** Removes a download that was not resumed for a long time, or a state file without a download. */
function sweepDownload(root: Fd, id: string, names: readonly string[]): boolean {
  const path = `.#pull-${id}`;
  const since = Date.now() - PARTIAL_DAYS * DAY_MS;
  // A complete download has the modification time that the server sent.
  const isYoung = ["part", "state"].some((suffix) => changedMs(root, `${path}.${suffix}`) > since);
  if (names.includes(`${path}.part`) && (isYoung || !sweep(root, `${path}.part`))) return false;
  for (const suffix of ["state", "state.new"]) {
    rmSync(`/proc/self/fd/${root.number}/${path}.${suffix}`, { force: true });
  }
  return true;
}

function changedMs(root: Fd, name: string): number {
  return unlessSyscallError(() => Number(statAt(root, name, "no-follow").mtimeNs / 1_000_000n), 0);
}

/** Removes an entry that no process works on. */
function sweep(root: Fd, name: string): boolean {
  return unlessSyscallError(() => {
    const { kind } = statAt(root, name, "no-follow");
    if (kind !== "regular" && kind !== "directory" && kind !== "symlink") return false;
    // A link that was replaced by an image cannot be locked: its name is all that is left of it.
    using file = kind === "symlink" ? null : openForReading(root, name);
    if (file !== null && !lockWhole(file)) return false;
    removeTree(root, name);
    return true;
  }, false);
}
