// Opens files of a machine by path (O_PATH) without waiting for a process of the machine. A machine with a user
// namespace may mount file systems whose requests its own processes answer (FUSE), or leave unanswered: files on those
// are not looked up here.
import { readSome } from "../../kernel/file/byte-io.ts";
import { type Fd, openPath } from "../../kernel/file/fd.ts";
import { mountIdOf, nameEntry, nameIfKnown, nameOnMount } from "../../kernel/file/open-cached.ts";
import type { PidRef } from "../../kernel/process/pidref.ts";
import { SyscallError, unlessErrno } from "../../kernel/syscall/sys.ts";

/**
 * File systems whose requests the kernel alone answers, and that a machine cannot mount over a FUSE or network file
 * system.
 */
const SELF_CONTAINED: ReadonlySet<string> = new Set(
  "bcachefs btrfs devpts devtmpfs erofs ext2 ext3 ext4 f2fs proc ramfs rootfs squashfs sysfs tmpfs vfat xfs zfs".split(
    " ",
  ),
);

const TABLE_LIMIT_BYTES = 64 * 1024 * 1024;
/**
 * The limit for a daemon. The kernel writes the table anew for each reading, and a machine may have a hundred thousand
 * mounts, each on top of the others: reading eight MiB of that takes more than a second.
 */
export const DAEMON_TABLE_LIMIT_BYTES = 512 * 1024;

/** The machine whose files are opened. */
interface Place {
  readonly leader: PidRef;
  readonly isHost: boolean;
}

interface LimitedPlace extends Place {
  readonly limitBytes: number;
}

/**
 * Opens a file (an absolute path) below the machine's root directory with O_PATH. Returns null where a process might
 * have to answer for it, and where the machine's table of mounts is longer than the limit. Throws an error with errno.
 */
export function openPathCached(
  { leader, isHost }: Place,
  root: Fd,
  path: string,
  limitBytes = TABLE_LIMIT_BYTES,
): Fd | null {
  return unlessErrno(() => openCached({ leader, isHost, limitBytes }, root, path), null, "EFBIG");
}

function openCached(place: LimitedPlace, root: Fd, path: string): Fd | null {
  using owned = new DisposableStack();
  const known = nameIfKnown(root, path);
  if (known !== null) {
    owned.use(known);
    if (isSelfContained(place, known)) {
      owned.move();
      return known;
    }
  }
  const onRoot = isSelfContained(place, root) ? nameOnMount(root, path) : null;
  if (onRoot !== null || path === "/") return onRoot;
  // The kernel does not cache all missing names: such a name is looked up in its directory, on a file system whose
  // requests the kernel alone answers.
  const { basename, dirname } = process.getBuiltinModule("node:path");
  using directory = openCached(place, root, dirname(path));
  return directory === null ? null : nameEntry(directory, basename(path));
}

/** A mount as mountinfo has it: where its file system is (`MAJOR:MINOR`), and of which type that is. */
interface Mounted {
  readonly device: string;
  readonly type: string;
}

let hostRoot: (Mounted & { readonly id: number | null }) | undefined;

/** Throws `EFBIG` for a table of mounts that is longer than the limit. */
function isSelfContained({ leader, isHost, limitBytes }: LimitedPlace, file: Fd): boolean {
  if (isHost) return true;
  const id = mountIdOf(file);
  hostRoot ??= ownRoot();
  if (id === null || id === hostRoot.id) return id !== null;
  const { device, type } = leader.verified(() => mountOf(leader.pid, id, limitBytes));
  // The file system of the host's own root is accepted: where it does not answer, the daemon cannot run at all.
  return SELF_CONTAINED.has(type) || (device !== "" && device === hostRoot.device);
}

/**
 * Returns the mount of an id; empty texts where the process has none. Keeps only a part of the table in memory: a
 * machine decides how long it is. Throws `EFBIG` where the mount is not in the first `limitBytes` of it.
 */
function mountOf(process: number | "self", id: number, limitBytes: number): Mounted {
  using file = openPath(`/proc/${process}/mountinfo`, "read");
  // The text from the newline before the last incomplete line on.
  let text = "\n";
  let total = 0;
  for (let part = readSome(file); part !== null && part.length > 0; part = readSome(file)) {
    total += part.length;
    if (total > limitBytes) throw new SyscallError("read", "EFBIG");
    text += part.toString("latin1");
    const end = text.lastIndexOf("\n");
    const start = text.indexOf(`\n${id} `);
    if (start >= 0 && start < end) return mountedIn(text.slice(start + 1, text.indexOf("\n", start + 1)));
    text = text.slice(end);
  }
  return { device: "", type: "" };
}

function mountedIn(line: string): Mounted {
  const [first = "", second = ""] = line.split(" - ");
  return { device: first.split(" ")[2] ?? "", type: second.split(" ")[0] ?? "" };
}

function ownRoot(): Mounted & { readonly id: number | null } {
  using root = openPath("/", "path");
  const id = mountIdOf(root);
  return { id, ...(id === null ? { device: "", type: "" } : mountOf("self", id, TABLE_LIMIT_BYTES)) };
}
