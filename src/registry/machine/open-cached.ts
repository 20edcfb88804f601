// Naming files of a machine that only the kernel answers for. A machine with a user namespace may mount file systems whose answers
// are its own to give (FUSE), or not to give.
import { readFileSync } from "node:fs";
import { basename, dirname } from "node:path";
import { type Fd, openPath } from "../../kernel/file/fd.ts";
import { mountIdOf, nameEntry, nameIfKnown, nameOnMount } from "../../kernel/file/open-cached.ts";
import type { PidRef } from "../../kernel/process/pidref.ts";

/** File systems that need nobody to answer, and that no machine can make of those that do. */
const SELF_CONTAINED: ReadonlySet<string> = new Set(
  "bcachefs btrfs devpts devtmpfs erofs ext2 ext3 ext4 f2fs proc ramfs rootfs squashfs sysfs tmpfs vfat xfs zfs".split(
    " ",
  ),
);

/** Whose files they are. */
interface Place {
  readonly leader: PidRef;
  readonly isHost: boolean;
}

/**
 * Names a file (an absolute path) below the machine's root directory where nobody has to be asked for it; null otherwise. Throws
 * an error with errno.
 */
export function openPathCached(place: Place, root: Fd, path: string): Fd | null {
  const known = nameIfKnown(root, path);
  if (known !== null) {
    if (isSelfContained(place, known)) return known;
    known.close();
  }
  const onRoot = isSelfContained(place, root) ? nameOnMount(root, path) : null;
  if (onRoot !== null || path === "/") return onRoot;
  // What is missing is not known to the kernel in all directories: looked up where that costs nobody's time.
  using directory = openPathCached(place, root, dirname(path));
  return directory === null ? null : nameEntry(directory, basename(path));
}

/** A mount as mountinfo has it: where its file system is (`MAJOR:MINOR`), and of which type that is. */
interface Mounted {
  readonly device: string;
  readonly type: string;
}

let hostRoot: (Mounted & { readonly id: number | null }) | undefined;

function isSelfContained({ leader, isHost }: Place, file: Fd): boolean {
  if (isHost) return true;
  const id = mountIdOf(file);
  hostRoot ??= ownRoot();
  if (id === null || id === hostRoot.id) return id !== null;
  const table = leader.verified(() => readFileSync(`/proc/${leader.pid}/mountinfo`, "latin1"));
  const { device, type } = mountOf(table, id);
  // What this host's own root directory is on answers, or nothing here does.
  return SELF_CONTAINED.has(type) || (device !== "" && device === hostRoot.device);
}

function mountOf(table: string, id: number): Mounted {
  const start = table.startsWith(`${id} `) ? 0 : table.indexOf(`\n${id} `) + 1;
  if (start === 0 && !table.startsWith(`${id} `)) return { device: "", type: "" };
  const [line = ""] = table.slice(start).split("\n", 1);
  const [first = "", second = ""] = line.split(" - ");
  return { device: first.split(" ")[2] ?? "", type: second.split(" ")[0] ?? "" };
}

function ownRoot(): Mounted & { readonly id: number | null } {
  using root = openPath("/", "path");
  const id = mountIdOf(root);
  return { id, ...mountOf(id === null ? "" : readFileSync("/proc/self/mountinfo", "latin1"), id ?? -1) };
}
